use std::vec;

use futures_util::stream;
use partita_model::limits::{FLOOR_REASON_CHARS_MAX, ID_CHARS_MAX};
use partita_model::{TenantId, Violations};
use partita_proto::v1;
use partita_proto::v1::purge_legacy_response::Report;
use partita_store::{LegacyPurge, PurgeRequest, PurgeStep, Store, StoreError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tracing::{Instrument, Span};

use crate::deadline::CallDeadline;
use crate::limits::{PURGE_BATCH_ROWS_DEFAULT, PURGE_BATCH_ROWS_MAX};
use crate::partition_message::check_text;
use crate::service::Messages;
use crate::status::{overdue, refuse};

/// Purges the legacy table of one tenant's expired events or of all, batch by batch: the next one is begun when the client
/// has taken the report of the last.
pub(crate) async fn purge_legacy(
    store: &Store,
    shutdown: &CancellationToken,
    request: Request<v1::PurgeLegacyRequest>,
) -> Result<Response<Messages<v1::PurgeLegacyResponse>>, Status> {
    let deadline = CallDeadline::of(request.extensions()).map(|deadline| deadline.at());
    let (tenant, purge) =
        parse(request.into_inner()).map_err(|violations| refuse(&StoreError::Invalid(violations)))?;
    let span = Span::current();
    let named = tenant.is_some();
    let tenants = match tenant {
        Some(tenant) => {
            span.record("tenant", tenant.as_str());
            vec![tenant]
        }
        None => store.partitions().tenants().await.map_err(|error| refuse(&error))?,
    };
    let delete_triggers = store.partitions().delete_triggers().await.map_err(|error| refuse(&error))?;
    let run = Run {
        store: store.clone(),
        shutdown: shutdown.clone(),
        deadline,
        summary: v1::PurgeSummary { executed: purge.execute, delete_triggers, ..Default::default() },
        purge,
        tenants: tenants.into_iter(),
        named,
        current: None,
        finished: false,
    };
    let messages = stream::try_unfold(run, move |run| run.next().instrument(span.clone()));
    Ok(Response::new(Box::pin(messages)))
}

/// What is left of a run.
struct Run {
    store: Store,
    shutdown: CancellationToken,
    deadline: Option<Instant>,
    purge: PurgeRequest,
    tenants: vec::IntoIter<TenantId>,
    /// Whether the request named the tenant.
    named: bool,
    current: Option<(LegacyPurge, v1::PurgeProgress)>,
    summary: v1::PurgeSummary,
    finished: bool,
}

impl Run {
    /// The next message and the rest; none when the summary was sent.
    async fn next(mut self) -> Result<Option<(v1::PurgeLegacyResponse, Self)>, Status> {
        if self.finished {
            return Ok(None);
        }
        let report = loop {
            if let Some((purge, progress)) = self.current.take() {
                break self.step(purge, progress).await?;
            }
            let Some(tenant) = self.tenants.next() else {
                self.finished = true;
                break Report::Summary(std::mem::take(&mut self.summary));
            };
            if let Some(report) = self.begin(tenant).await? {
                break report;
            }
        };
        Ok(Some((v1::PurgeLegacyResponse { report: Some(report) }, self)))
    }

    /// Begins a tenant; reports at once of one that is held. One that has no floor, and was not asked for by name, has
    /// nothing to purge.
    async fn begin(&mut self, tenant: TenantId) -> Result<Option<Report>, Status> {
        let mut progress =
            v1::PurgeProgress { tenant_id: tenant.as_str().to_owned(), ..v1::PurgeProgress::default() };
        match self.store.partitions().purge_legacy(tenant, self.purge.clone()).await {
            Ok((false, purge)) => {
                self.summary.tenants += 1;
                self.current = Some((purge, progress));
                Ok(None)
            }
            Ok((true, _)) => {
                self.summary.tenants += 1;
                self.summary.tenants_held += 1;
                progress.legal_hold = true;
                progress.finished = true;
                Ok(Some(Report::Progress(progress)))
            }
            Err(StoreError::TenantNotFound { .. }) if !self.named => Ok(None),
            Err(error) => Err(refuse(&error)),
        }
    }

    async fn step(
        &mut self,
        mut purge: LegacyPurge,
        mut progress: v1::PurgeProgress,
    ) -> Result<Report, Status> {
        if self.shutdown.is_cancelled() {
            return Err(refuse(&StoreError::ShuttingDown));
        }
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(overdue());
        }
        match purge.step().await.map_err(|error| refuse(&error))? {
            Some(PurgeStep { expired, purged }) => {
                progress.expired += i64::from(expired);
                progress.purged += i64::from(purged);
                self.current = Some((purge, progress.clone()));
            }
            None => {
                progress.finished = true;
                self.summary.expired += progress.expired;
                self.summary.purged += progress.purged;
            }
        }
        Ok(Report::Progress(progress))
    }
}

/// The tenant, none for all, and what to do.
pub(crate) fn parse(request: v1::PurgeLegacyRequest) -> Result<(Option<TenantId>, PurgeRequest), Violations> {
    let mut violations = Violations::default();
    let tenant = match request.tenant_id.as_str() {
        "" => None,
        tenant => violations.check("tenant_id", TenantId::parse(tenant)),
    };
    let batch_rows = violations.check("batch_rows", parse_batch_rows(request.batch_rows));
    violations.check("user_id", check_text(&request.user_id, ID_CHARS_MAX));
    violations.check("reason", check_text(&request.reason, FLOOR_REASON_CHARS_MAX));
    let Some(batch_rows) = batch_rows.filter(|_| violations.is_empty()) else { return Err(violations) };
    let purge = PurgeRequest {
        batch_rows,
        restorable: request.include_restorable,
        last_events: request.last_events,
        execute: request.execute,
        changed_by: request.user_id,
        reason: request.reason,
    };
    Ok((tenant, purge))
}

fn parse_batch_rows(sent: i32) -> Result<u32, String> {
    match u32::try_from(sent) {
        Ok(0) => Ok(PURGE_BATCH_ROWS_DEFAULT),
        Ok(rows) if rows <= PURGE_BATCH_ROWS_MAX => Ok(rows),
        _ => Err(format!("is {sent}: give 0 (for {PURGE_BATCH_ROWS_DEFAULT}) to {PURGE_BATCH_ROWS_MAX}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_a_default_and_a_bound() {
        assert_eq!([0, 1, 10_000].map(|rows| parse_batch_rows(rows).unwrap()), [1_000, 1, 10_000]);
        assert!(parse_batch_rows(-1).is_err() && parse_batch_rows(10_001).is_err());
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let request = v1::PurgeLegacyRequest { batch_rows: -1, ..Default::default() };
        let violations = parse(request).err().unwrap();
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["batch_rows", "user_id", "reason"]);
    }
}
