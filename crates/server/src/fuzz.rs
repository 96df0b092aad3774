//! Requests of operators and page tokens that nobody means well with: taken, or refused with their fields.

use partita_fuzz::Fuzz;
use partita_model::Violations;
use partita_proto::v1;
use partita_store::{MaintenanceRequest, PageKey};
use prost::Message;

use crate::list_partitions::List;
use crate::{
    check_partitions, maintain_partitions, page_token, purge_legacy, restore_partition, set_legal_hold,
    set_retention,
};

const TOKENS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/page_token");
const REQUESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/request");

/// What a request that is not set anything to is completed with.
const DEFAULTS: MaintenanceRequest = MaintenanceRequest {
    months_ahead: 2,
    retention_months: 18,
    grace_days: 7,
    create: true,
    detach: true,
    drop: true,
    validate_only: false,
    measure: true,
};

fn assert_told<T>(parsed: Result<T, Violations>) {
    if let Err(violations) = parsed {
        assert!(!violations.is_empty());
        assert!(
            violations.iter().all(|one| !one.field.is_empty() && !one.description.is_empty()),
            "{violations}"
        );
    }
}

/// Parses the bytes where they are a message.
pub(crate) fn attack<M: Message + Default, T>(bytes: &[u8], parse: impl FnOnce(M) -> Result<T, Violations>) {
    if let Ok(message) = M::decode(bytes) {
        assert_told(parse(message));
    }
}

#[test]
fn a_page_token_that_is_taken_leads_where_its_own_token_leads() {
    Fuzz::new(TOKENS).text(|token| {
        let filters = ["", "acme"];
        for filter in filters {
            match page_token::decode(filter, token) {
                Ok(place) => {
                    assert_eq!(page_token::tenant(token).as_ref(), Some(&place.tenant_id));
                    assert!(filter.is_empty() || place.tenant_id == filter, "out of its filter: {token}");
                    let again = page_token::decode(filter, &page_token::encode(filter, &place)).unwrap();
                    let key = |place: PageKey| (place.tenant_id, place.range_start, place.partition_name);
                    assert_eq!(key(again), key(place));
                }
                Err(reason) => assert!(!reason.is_empty()),
            }
        }
        assert!(
            filters.iter().any(|filter| page_token::decode(filter, token).is_err()),
            "two filters: {token}"
        );
    });
}

#[test]
fn requests_of_operators_are_taken_or_refused_with_their_fields() {
    let text = |text: &str| text.to_owned();
    let list = v1::ListPartitionsRequest {
        tenant_id: text("acme"),
        page_size: 10,
        page_token: text("AgAAAAA"),
        include_detached: true,
    };
    let restore = v1::RestorePartitionRequest {
        tenant_id: text("acme"),
        month: text("2026-11"),
        user_id: text("ann"),
        reason: text("an audit"),
    };
    let maintain = v1::MaintainPartitionsRequest {
        tenant_id: text("acme"),
        months_ahead: Some(2),
        retention_months: Some(18),
        validate_only: true,
    };
    let fuzz = Fuzz::new(REQUESTS)
        .seed(list.encode_to_vec())
        .seed(restore.encode_to_vec())
        .seed(maintain.encode_to_vec());
    fuzz.bytes(|bytes| {
        attack(bytes, |request| List::parse(&request));
        attack(bytes, |request| restore_partition::parse(&request));
        attack(bytes, |request| set_retention::parse(&request));
        attack(bytes, |request| set_legal_hold::parse(&request));
        attack(bytes, |request| check_partitions::parse(&request));
        attack(bytes, purge_legacy::parse);
        attack(bytes, |request| maintain_partitions::parse(&request, &DEFAULTS));
    });
}
