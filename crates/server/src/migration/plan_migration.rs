use std::vec;

use futures_util::stream;
use partita_migration::{Migration, Plan, PlannedMonth, Refusal};
use partita_model::{TenantId, Violations};
use partita_proto::v1;
use partita_proto::v1::plan_migration_response::Plan as Piece;
use partita_store::StoreError;
use tonic::{Request, Response, Status};

use crate::migration::message::{count, unit_state};
use crate::migration::request::parse_tenant;
use crate::service::Messages;
use crate::status::{refuse, refuse_migration};

/// Most months in one message.
const MONTHS_A_MESSAGE: usize = 1_000;

/// Tells what a backfill would look at.
pub(crate) async fn plan_migration(
    migration: &Migration,
    request: Request<v1::PlanMigrationRequest>,
) -> Result<Response<Messages<v1::PlanMigrationResponse>>, Status> {
    let tenant =
        parse(&request.into_inner()).map_err(|violations| refuse(&StoreError::Invalid(violations)))?;
    let Plan { mut months } = migration.plan().await.map_err(|error| refuse_migration(&error))?;
    if let Some(tenant) = tenant {
        months.retain(|month| month.tenant_id == tenant.as_str());
        if months.is_empty() {
            return Err(refuse_migration(&Refusal::TenantUnknown(tenant).into()));
        }
    }
    let pieces = pieces(&months).map(|piece| Ok(v1::PlanMigrationResponse { plan: Some(piece) }));
    Ok(Response::new(Box::pin(stream::iter(pieces))))
}

pub(super) fn parse(request: &v1::PlanMigrationRequest) -> Result<Option<TenantId>, Violations> {
    let mut violations = Violations::default();
    let tenant = parse_tenant(&mut violations, &request.tenant_id);
    if violations.is_empty() { Ok(tenant) } else { Err(violations) }
}

/// The messages: months of a tenant each, the summary last.
fn pieces(months: &[PlannedMonth]) -> vec::IntoIter<Piece> {
    let mut summary = v1::PlanSummary::default();
    let mut pieces = Vec::new();
    for of_tenant in months.chunk_by(|one, next| one.tenant_id == next.tenant_id) {
        summary.tenants += 1;
        for chunk in of_tenant.chunks(MONTHS_A_MESSAGE) {
            add(&mut summary, chunk);
            let tenant_id = of_tenant.first().map(|month| month.tenant_id.clone()).unwrap_or_default();
            let months = chunk.iter().map(message).collect();
            pieces.push(Piece::Tenant(v1::TenantPlan { tenant_id, months }));
        }
    }
    pieces.push(Piece::Summary(summary));
    pieces.into_iter()
}

fn add(summary: &mut v1::PlanSummary, months: &[PlannedMonth]) {
    for month in months {
        summary.months += 1;
        if month.is_expired {
            summary.months_expired += 1;
        } else {
            summary.rows_estimated += count(month.rows_estimated);
        }
    }
}

fn message(month: &PlannedMonth) -> v1::PlannedMonth {
    v1::PlannedMonth {
        month: month.month.to_string(),
        rows_estimated: count(month.rows_estimated),
        expired: month.is_expired,
        state: month.state.as_deref().map(unit_state).unwrap_or_default().into(),
        rows_left: month.rows_left.map(count),
    }
}

#[cfg(test)]
mod tests {
    use partita_model::Month;

    use super::*;

    fn month(tenant: &str, is_expired: bool) -> PlannedMonth {
        PlannedMonth {
            tenant_id: tenant.to_owned(),
            month: Month::parse("2026-11").unwrap(),
            rows_estimated: 7,
            is_expired,
            state: None,
            rows_left: None,
        }
    }

    #[test]
    fn a_long_tenant_has_several_messages_and_counts_once() {
        let mut months = vec![month("acme", true)];
        months.extend(std::iter::repeat_n(month("globex", false), MONTHS_A_MESSAGE + 1));
        let mut pieces = pieces(&months);
        let Some(Piece::Summary(summary)) = pieces.next_back() else { panic!("the summary comes last") };
        assert_eq!((summary.tenants, summary.months, summary.months_expired), (2, 1_002, 1));
        assert_eq!(summary.rows_estimated, 7 * 1_001);
        let sizes = pieces.map(|piece| match piece {
            Piece::Tenant(tenant) => (tenant.tenant_id, tenant.months.len()),
            Piece::Summary(_) => panic!("two summaries"),
        });
        let expected = [("acme".to_owned(), 1), ("globex".to_owned(), 1_000), ("globex".to_owned(), 1)];
        assert_eq!(sizes.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_database_without_history_is_an_empty_plan() {
        let pieces: Vec<_> = pieces(&[]).collect();
        assert_eq!(pieces, [Piece::Summary(v1::PlanSummary::default())]);
    }
}
