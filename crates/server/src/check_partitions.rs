use futures_util::stream;
use partita_model::limits::MONTHS_AHEAD_MAX;
use partita_model::{TenantId, Violations};
use partita_proto::convert::timestamp_to_wire;
use partita_proto::v1;
use partita_proto::v1::check_partitions_response::Report;
use partita_proto::v1::partition_finding::Kind;
use partita_store::{FindingKind, PartitionFinding, Store, StoreError};
use tonic::{Request, Response, Status};
use tracing::Span;

use crate::partition_message::parse_months;
use crate::service::Messages;
use crate::status::refuse;

/// Checks the partitions of one tenant or of all; one message a finding, the summary last.
pub(crate) async fn check_partitions(
    store: &Store,
    request: Request<v1::CheckPartitionsRequest>,
) -> Result<Response<Messages<v1::CheckPartitionsResponse>>, Status> {
    let (tenant, months_ahead) =
        parse(&request.into_inner()).map_err(|violations| refuse(&StoreError::Invalid(violations)))?;
    if let Some(tenant) = &tenant {
        Span::current().record("tenant", tenant.as_str());
    }
    let checked = store.partitions().check(tenant.as_ref(), months_ahead).await;
    let findings = checked.map_err(|error| refuse(&error))?;
    let summary = v1::CheckSummary { findings: i32::try_from(findings.len()).unwrap_or(i32::MAX) };
    let reports = findings.into_iter().map(|found| Report::Finding(finding(found)));
    let messages = reports
        .chain([Report::Summary(summary)])
        .map(|report| Ok(v1::CheckPartitionsResponse { report: Some(report) }));
    Ok(Response::new(Box::pin(stream::iter(messages))))
}

pub(crate) fn parse(
    request: &v1::CheckPartitionsRequest,
) -> Result<(Option<TenantId>, Option<u32>), Violations> {
    let mut violations = Violations::default();
    let tenant = match request.tenant_id.as_str() {
        "" => None,
        tenant => violations.check("tenant_id", TenantId::parse(tenant)),
    };
    let months_ahead = match request.months_ahead {
        Some(sent) => violations.check("months_ahead", parse_months(sent, MONTHS_AHEAD_MAX)),
        None => None,
    };
    if violations.is_empty() { Ok((tenant, months_ahead)) } else { Err(violations) }
}

fn finding(found: PartitionFinding) -> v1::PartitionFinding {
    let kind = match found.kind {
        FindingKind::MissingTable => Kind::MissingTable,
        FindingKind::UnregisteredTable => Kind::UnregisteredTable,
        FindingKind::Gap => Kind::Gap,
        FindingKind::MissingMonth => Kind::MissingMonth,
        FindingKind::DetachPending => Kind::DetachPending,
        FindingKind::InvalidIndex => Kind::InvalidIndex,
        FindingKind::MissingIndex => Kind::MissingIndex,
        FindingKind::Orphan => Kind::Orphan,
        FindingKind::LostTable => Kind::LostTable,
    };
    v1::PartitionFinding {
        kind: kind.into(),
        tenant_id: found.tenant_id.unwrap_or_default(),
        partition_name: found.partition_name.unwrap_or_default(),
        range_start: found.range_start.map(timestamp_to_wire),
        range_end: found.range_end.map(timestamp_to_wire),
        message: found.detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_named_at_once() {
        let request = v1::CheckPartitionsRequest { tenant_id: "\0".to_owned(), months_ahead: Some(121) };
        let violations = parse(&request).err().unwrap();
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["tenant_id", "months_ahead"]);
    }
}
