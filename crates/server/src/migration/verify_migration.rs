use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use partita_migration::{Migration, UnitReport, VerifyOptions, VerifyReport, VerifySummary};
use partita_model::Violations;
use partita_proto::v1;
use partita_proto::v1::verify_migration_response::Report;
use partita_store::StoreError;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::deadline::CallDeadline;
use crate::migration::message::{count, mismatch, verification};
use crate::migration::request::parse_tenant;
use crate::migration::running::{Ends, Told, run};
use crate::service::Messages;
use crate::status::refuse;

/// Months that are compared at a time: each reads both tables, and more would be felt by everybody else.
const WORKERS: u32 = 2;

/// Compares the tables of one tenant or of all, and reports as it goes.
pub(crate) async fn verify_migration(
    migration: &Migration,
    shutdown: &CancellationToken,
    request: Request<v1::VerifyMigrationRequest>,
) -> Result<Response<Messages<v1::VerifyMigrationResponse>>, Status> {
    let deadline = CallDeadline::of(request.extensions()).map(|deadline| deadline.at());
    let ends = Ends { deadline, shutdown: shutdown.clone() };
    let options =
        parse(&request.into_inner()).map_err(|violations| refuse(&StoreError::Invalid(violations)))?;
    let migration = migration.clone();
    let told = run(ends, |reports| async move { migration.verify(&options, &reports).await });
    let messages = told
        .map_ok(|told| stream::iter(pieces(told)).map(Ok))
        .try_flatten()
        .map_ok(|report| v1::VerifyMigrationResponse { report: Some(report) });
    Ok(Response::new(Box::pin(messages)))
}

pub(super) fn parse(request: &v1::VerifyMigrationRequest) -> Result<VerifyOptions, Violations> {
    let mut violations = Violations::default();
    let tenant = parse_tenant(&mut violations, &request.tenant_id);
    let sample_percent = match request.sample_percent {
        0.0 => 100.0,
        sent if sent > 0.0 && sent <= 100.0 => sent,
        sent => {
            violations.push("sample_percent", format!("is {sent}: give above 0, up to 100"));
            sent
        }
    };
    if violations.is_empty() {
        let only_unverified = request.only_unverified;
        Ok(VerifyOptions { tenant, sample_percent, workers: WORKERS, only_unverified })
    } else {
        Err(violations)
    }
}

/// The messages that a report comes to: its differences behind it.
fn pieces(told: Told<VerifyReport, VerifySummary>) -> Vec<Report> {
    match told {
        Told::Report(VerifyReport::Planned { units }) => {
            vec![Report::Plan(v1::VerificationPlan { units: count(units) })]
        }
        Told::Report(VerifyReport::Unit(unit)) => unit_pieces(unit),
        Told::Report(VerifyReport::Tenant {
            tenant_id,
            is_verified,
            streams_with_gaps,
            heads_wrong,
            quarantined,
        }) => vec![Report::Tenant(v1::VerifiedTenant {
            tenant_id,
            verified: is_verified,
            heads_differ: count(heads_wrong),
            streams_with_gaps: count(streams_with_gaps),
            quarantined: count(quarantined),
        })],
        Told::Outcome(summary) => vec![Report::Summary(verification(summary))],
    }
}

fn unit_pieces(unit: UnitReport) -> Vec<Report> {
    let report = v1::VerifiedUnit {
        tenant_id: unit.tenant_id,
        month: unit.month.to_string(),
        legacy_rows: count(unit.legacy_rows),
        partitioned_rows: count(unit.partitioned_rows),
        mismatches: count(unit.differences.len() as u64),
        unreadable: unit.unreadable.unwrap_or_default(),
    };
    let differences = unit.differences.into_iter().map(mismatch).map(Report::Mismatch);
    std::iter::once(Report::Unit(report)).chain(differences).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_share_and_nothing_means_all() {
        let percent = |sample_percent| {
            let request = v1::VerifyMigrationRequest { sample_percent, ..Default::default() };
            parse(&request).map(|options| options.sample_percent).ok()
        };
        assert_eq!([0.0, 0.1, 100.0].map(percent), [Some(100.0), Some(0.1), Some(100.0)]);
        assert_eq!([-1.0, 100.1, f64::NAN, f64::INFINITY].map(percent), [None; 4]);
    }
}
