//! Requests about the migration and their page tokens that nobody means well with: taken, or refused with their fields.

use partita_fuzz::Fuzz;
use partita_model::{TenantId, Violations};
use partita_proto::v1;
use partita_proto::v1::change_phase_request::Move;
use partita_proto::v1::control_backfill_request::Action;
use prost::Message as _;

use super::list_mismatches::List;
use super::page_token::{self, Place};
use super::{
    accept_quarantined, change_phase, control_backfill, plan_migration, repair_mismatches, verify_migration,
};
use crate::fuzz::attack;

const TOKENS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/mismatches_page_token");
const REQUESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/migration_request");

/// Nobody, or one whose name may be a tenant's.
fn assert_tenant(tenant: Option<&TenantId>, sent: &str) {
    assert_eq!(tenant.map_or("", TenantId::as_str), sent);
}

/// Somebody, unless nothing is changed.
fn assert_user(user_id: &str, validate_only: bool) {
    assert!((1..=255).contains(&user_id.chars().count()) || validate_only && user_id.is_empty());
}

/// A request, attacked: what is taken of it is held against it.
fn attack_and_hold<M: prost::Message + Default + Clone, T>(
    bytes: &[u8],
    parse: impl FnOnce(&M) -> Result<T, Violations>,
    hold: impl FnOnce(T, &M),
) {
    attack(bytes, |request: M| parse(&request).map(|parsed| hold(parsed, &request)));
}

#[test]
fn requests_about_the_migration_are_taken_or_refused_with_their_fields() {
    let (tenant_id, user_id) = ("acme".to_owned(), "ann".to_owned());
    let limits = v1::BackfillLimits {
        workers: Some(4),
        rows_per_second: Some(0),
        replica_lag_ms_max: Some(86_400_000),
        lock_waits_max: Some(100),
    };
    let control = v1::ControlBackfillRequest {
        action: Action::Tune.into(),
        limits: Some(limits),
        user_id: user_id.clone(),
    };
    let verify = v1::VerifyMigrationRequest {
        tenant_id: tenant_id.clone(),
        sample_percent: 12.5,
        only_unverified: true,
    };
    let list = v1::ListMismatchesRequest {
        tenant_id: tenant_id.clone(),
        page_size: 10,
        page_token: page_token::encode("acme", Place::Quarantine(7)),
    };
    let repair = v1::RepairMismatchesRequest { tenant_id, validate_only: true, user_id: user_id.clone() };
    let change = v1::ChangePhaseRequest { r#move: Move::Restore.into(), validate_only: false, user_id };
    let accept = v1::AcceptQuarantinedRequest {
        tenant_id: "acme".to_owned(),
        validate_only: false,
        user_id: "ann".to_owned(),
        reason: "ticket 7".to_owned(),
    };
    let fuzz = Fuzz::new(REQUESTS)
        .seed(accept.encode_to_vec())
        .seed(control.encode_to_vec())
        .seed(verify.encode_to_vec())
        .seed(list.encode_to_vec())
        .seed(repair.encode_to_vec())
        .seed(change.encode_to_vec());
    fuzz.bytes(|bytes| {
        attack_and_hold(bytes, plan_migration::parse, |tenant, sent: &v1::PlanMigrationRequest| {
            assert_tenant(tenant.as_ref(), &sent.tenant_id);
        });
        attack_and_hold(bytes, control_backfill::parse, |(action, tuning), sent| {
            assert_eq!((i32::from(action), tuning.is_some()), (sent.action, sent.limits.is_some()));
            assert!(action != Action::Unspecified);
            assert_user(&sent.user_id, false);
            let workers = tuning.and_then(|tuning| tuning.workers);
            assert!(workers.is_none_or(|workers| (1..=64).contains(&workers)), "{workers:?}");
        });
        attack_and_hold(bytes, verify_migration::parse, |options, sent: &v1::VerifyMigrationRequest| {
            assert_tenant(options.tenant.as_ref(), &sent.tenant_id);
            assert!(options.sample_percent > 0.0 && options.sample_percent <= 100.0);
        });
        attack_and_hold(bytes, List::parse, |list, sent: &v1::ListMismatchesRequest| {
            assert_tenant(list.tenant.as_ref(), &sent.tenant_id);
            assert!((1..=1_000).contains(&list.page_size));
            let token = page_token::encode(&sent.tenant_id, list.begin);
            assert!(sent.page_token == token || sent.page_token.is_empty());
        });
        attack_and_hold(bytes, repair_mismatches::parse, |tenant, sent| {
            assert_tenant(tenant.as_ref(), &sent.tenant_id);
            assert_user(&sent.user_id, sent.validate_only);
        });
        attack_and_hold(bytes, accept_quarantined::parse, |tenant, sent| {
            assert_tenant(tenant.as_ref(), &sent.tenant_id);
            assert_user(&sent.user_id, sent.validate_only);
            assert!(!sent.reason.is_empty() || sent.validate_only);
        });
        attack_and_hold(bytes, change_phase::parse, |wanted, sent| {
            assert!(i32::from(wanted) == sent.r#move && wanted != Move::Unspecified);
            assert_user(&sent.user_id, sent.validate_only);
        });
    });
}

#[test]
fn a_page_token_of_differences_that_is_taken_is_the_one_of_its_place_and_filter() {
    Fuzz::new(TOKENS).text(|token| {
        let filters = ["", "acme"];
        for filter in filters {
            match page_token::decode(filter, token) {
                Ok(place) => assert_eq!(page_token::encode(filter, place), token),
                Err(reason) => assert!(!reason.is_empty()),
            }
        }
        let refused = |filter: &&str| page_token::decode(filter, token).is_err();
        assert!(filters.iter().any(refused), "two filters: {token}");
    });
}
