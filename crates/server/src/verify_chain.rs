use std::collections::VecDeque;
use std::vec;

use futures_util::stream;
use partita_model::{ChainFault, TenantId, Violations};
use partita_proto::v1;
use partita_proto::v1::chain_finding::{Fault as WireFault, Table};
use partita_proto::v1::verify_chain_response::Report;
use partita_store::{ChainFinding, ChainStep, ChainTable, ChainVerifier, Fault, Store, StoreError};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tracing::{Instrument, Span};

use crate::deadline::CallDeadline;
use crate::service::Messages;
use crate::status::{overdue, refuse};

/// Verifies one tenant or all, one after the other, a step at a time: the next step is taken when the client has taken
/// the report of the last.
pub(crate) async fn verify_chain(
    store: &Store,
    shutdown: &CancellationToken,
    request: Request<v1::VerifyChainRequest>,
) -> Result<Response<Messages<v1::VerifyChainResponse>>, Status> {
    let deadline = CallDeadline::of(request.extensions()).map(|deadline| deadline.at());
    let span = Span::current();
    let tenants = match request.into_inner().tenant_id {
        all if all.is_empty() => store.tenants_with_events().await.map_err(|error| refuse(&error))?,
        named => {
            span.record("tenant", named.as_str());
            let parsed = TenantId::parse(named).map_err(|description| {
                refuse(&StoreError::Invalid(Violations::one("tenant_id", description)))
            })?;
            vec![parsed]
        }
    };
    let run = Run {
        store: store.clone(),
        shutdown: shutdown.clone(),
        deadline,
        tenants: tenants.into_iter(),
        current: None,
        summary: v1::ChainSummary::default(),
        reports: VecDeque::new(),
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
    tenants: vec::IntoIter<TenantId>,
    current: Option<(ChainVerifier, v1::ChainProgress)>,
    summary: v1::ChainSummary,
    /// What is not sent yet of the last step.
    reports: VecDeque<Report>,
    finished: bool,
}

impl Run {
    /// The next message and the rest; none when the summary was sent.
    async fn next(mut self) -> Result<Option<(v1::VerifyChainResponse, Self)>, Status> {
        while self.reports.is_empty() {
            if self.finished {
                return Ok(None);
            }
            self.advance().await?;
        }
        let report = self.reports.pop_front();
        Ok(Some((v1::VerifyChainResponse { report }, self)))
    }

    /// Takes a step, or begins the next tenant, or finishes the run.
    async fn advance(&mut self) -> Result<(), Status> {
        let (mut verifier, mut progress) = match self.current.take() {
            Some(current) => current,
            None => match self.tenants.next() {
                Some(tenant) => {
                    let tenant_id = tenant.as_str().to_owned();
                    let progress = v1::ChainProgress { tenant_id, ..v1::ChainProgress::default() };
                    (self.store.verify_chain(tenant), progress)
                }
                None => {
                    self.finished = true;
                    self.reports.push_back(Report::Summary(self.summary));
                    return Ok(());
                }
            },
        };
        match self.step(&mut verifier).await? {
            Some(step) => {
                count(&mut progress, &step);
                let findings = step.findings.iter().map(|finding| message(&progress.tenant_id, finding));
                self.reports.extend(findings.map(Report::Finding));
                self.reports.push_back(Report::Progress(progress.clone()));
                self.current = Some((verifier, progress));
            }
            None => {
                progress.finished = true;
                add(&mut self.summary, &progress);
                self.reports.push_back(Report::Progress(progress));
            }
        }
        Ok(())
    }

    async fn step(&self, verifier: &mut ChainVerifier) -> Result<Option<ChainStep>, Status> {
        if self.shutdown.is_cancelled() {
            return Err(refuse(&StoreError::ShuttingDown));
        }
        let step = match self.deadline {
            Some(at) => timeout_at(at, verifier.step()).await.map_err(|_| overdue())?,
            None => verifier.step().await,
        };
        step.map_err(|error| refuse(&error))
    }
}

fn count(progress: &mut v1::ChainProgress, step: &ChainStep) {
    progress.compared += wire_count(step.compared);
    progress.streams += wire_count(step.streams);
    progress.verified += wire_count(step.verified);
    progress.foreign += wire_count(step.foreign);
    progress.findings += wire_count(step.findings.len() as u64);
}

fn add(summary: &mut v1::ChainSummary, tenant: &v1::ChainProgress) {
    summary.tenants += 1;
    summary.streams += tenant.streams;
    summary.compared += tenant.compared;
    summary.verified += tenant.verified;
    summary.foreign += tenant.foreign;
    summary.findings += tenant.findings;
}

/// The wire has no better number; nobody counts this far.
fn wire_count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn message(tenant_id: &str, finding: &ChainFinding) -> v1::ChainFinding {
    let name = |part: Option<&str>| part.unwrap_or_default().to_owned();
    let table = match finding.table {
        ChainTable::Legacy => Table::Legacy,
        ChainTable::Partitioned => Table::Partitioned,
    };
    v1::ChainFinding {
        tenant_id: tenant_id.to_owned(),
        aggregate_type: name(finding.stream.as_ref().map(|stream| stream.aggregate_type())),
        aggregate_id: name(finding.stream.as_ref().map(|stream| stream.aggregate_id())),
        version: finding.version.get(),
        position: finding.position,
        table: table.into(),
        fault: fault(finding.fault).into(),
        message: finding.fault.to_string(),
    }
}

fn fault(fault: Fault) -> WireFault {
    match fault {
        Fault::Chain(ChainFault::Changed) => WireFault::Changed,
        Fault::Chain(ChainFault::Unlinked) => WireFault::Unlinked,
        Fault::Chain(ChainFault::Missing { after: _ }) => WireFault::Missing,
        Fault::Chain(ChainFault::Repeated) => WireFault::Repeated,
        Fault::Chain(ChainFault::WrongEnd) => WireFault::WrongEnd,
        Fault::NoCopy => WireFault::NoCopy,
        Fault::CopyDiffers => WireFault::CopyDiffers,
        Fault::Unrecorded => WireFault::Unrecorded,
        Fault::PositionMissing { first: _, last: _ } => WireFault::PositionMissing,
        Fault::PositionRepeated => WireFault::PositionRepeated,
        Fault::PositionUnknown => WireFault::PositionUnknown,
    }
}

#[cfg(test)]
mod tests {
    use partita_model::{StreamId, Version};

    use super::*;

    #[test]
    fn a_finding_names_the_event_and_says_its_fault_twice() {
        let finding = ChainFinding {
            stream: Some(StreamId::from_row("order".to_owned(), "42".to_owned())),
            version: Version::new(5),
            position: None,
            table: ChainTable::Legacy,
            fault: Fault::Chain(ChainFault::Missing { after: Version::new(3) }),
        };
        let sent = message("acme", &finding);
        assert_eq!((sent.tenant_id.as_str(), sent.aggregate_type.as_str()), ("acme", "order"));
        assert_eq!((sent.aggregate_id.as_str(), sent.version), ("42", 5));
        assert_eq!((sent.table(), sent.fault()), (Table::Legacy, WireFault::Missing));
        assert_eq!(sent.message, "events are missing after version 3");
    }

    #[test]
    fn a_run_adds_up_what_its_tenants_came_to() {
        let mut progress = v1::ChainProgress::default();
        let step = ChainStep { compared: 7, streams: 1, verified: 3, foreign: 2, findings: Vec::new() };
        count(&mut progress, &step);
        count(&mut progress, &step);
        let mut summary = v1::ChainSummary::default();
        add(&mut summary, &progress);
        add(&mut summary, &progress);
        assert_eq!((summary.tenants, summary.compared, summary.verified, summary.foreign), (2, 28, 12, 8));
    }
}
