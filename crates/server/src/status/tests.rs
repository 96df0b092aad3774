use partita_model::{Append, Uuid, Version};
use partita_model::{AppendDraft, EventDraft, ExpectedVersion, StreamDraft, StreamId, TenantId, Timestamp};

use super::*;

/// What gRPC Java reads of an answer's trailers unless it is told otherwise, in bytes.
const TRAILERS_BYTES_MAX: usize = 8 * 1024;

fn stream() -> StreamId {
    StreamId::from_row("order".to_owned(), "42".to_owned())
}

fn metadata(status: &Status) -> HashMap<String, String> {
    status.get_details_error_info().unwrap().metadata
}

/// Size of an answer's trailers as HTTP/2 counts it: 32 bytes on top of each name and value.
fn trailers_bytes(status: Status) -> usize {
    let response = status.into_http::<()>();
    response.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
}

#[test]
fn a_version_conflict_names_the_stream_and_both_versions() {
    let conflict = VersionConflict {
        stream: stream(),
        expected: ExpectedVersion::Exact(Version::new(5)),
        actual: Version::new(7),
    };
    let status = refuse(&StoreError::VersionConflict(vec![conflict]));
    let info = status.get_details_error_info().unwrap();
    assert_eq!((status.code(), info.reason.as_str()), (Code::Aborted, "VERSION_CONFLICT"));
    assert_eq!(info.domain, "partita.v1");
    let expected = [("stream", "order/42"), ("expected", "5"), ("actual", "7")];
    assert_eq!(info.metadata, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
}

#[test]
fn every_conflict_of_an_append_to_several_streams_is_told() {
    let conflict = |id: usize| VersionConflict {
        stream: StreamId::from_row("order".to_owned(), Uuid::from_u128(id as u128).to_string()),
        expected: ExpectedVersion::NoStream,
        actual: Version::new(7),
    };
    let status = refuse(&StoreError::VersionConflict((0..3).map(conflict).collect()));
    let violations = status.get_details_precondition_failure().unwrap().violations;
    let subjects: Vec<_> = violations.iter().map(|one| one.subject.clone()).collect();
    assert_eq!(subjects, [0, 1, 2].map(|id| conflict(id).stream.to_string()));
    assert_eq!(violations[0].r#type, "VERSION_CONFLICT");
    assert_eq!(violations[0].description, "expected no_stream, actual 7");
    assert!(!metadata(&status).contains_key("omitted"));

    let status = refuse(&StoreError::VersionConflict((0..100).map(conflict).collect()));
    let told = status.get_details_precondition_failure().unwrap().violations.len();
    assert_eq!(told + metadata(&status)["omitted"].parse::<usize>().unwrap(), 100);
}

#[test]
fn a_failure_in_a_pipeline_says_what_its_status_would() {
    let error = StoreError::Overloaded { retry_after: Duration::from_millis(250) };
    let (failure, status) = (append_failure(&error), refuse(&error));
    assert_eq!((failure.code, failure.message.as_str()), (status.code() as i32, status.message()));
    assert_eq!(failure.reason(), ErrorReason::Overloaded);
    assert_eq!(failure.retry_after, Some(prost_types::Duration { seconds: 0, nanos: 250_000_000 }));

    let wrong = StoreError::Invalid(Violations::one("events[3].data", "is no JSON document"));
    let failure = append_failure(&wrong);
    assert_eq!(failure.field_violations[0].field, "events[3].data");
}

#[test]
fn an_overloaded_service_says_when_to_come_back() {
    let status = refuse(&StoreError::Overloaded { retry_after: Duration::from_millis(250) });
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(Duration::from_millis(250)));
}

#[test]
fn an_event_below_the_floor_is_named_with_the_floor() {
    let at = |text| Timestamp::parse_rfc3339(text).unwrap();
    let status = refuse(&StoreError::BelowFloor {
        field: "events[3].event_timestamp".to_owned(),
        event_timestamp: at("2012-01-01T00:00:00Z"),
        floor: at("2025-05-01T00:00:00Z"),
    });
    assert_eq!(metadata(&status)["floor"], "2025-05-01T00:00:00Z");
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "events[3].event_timestamp");
}

#[test]
fn the_worst_append_is_refused_in_trailers_that_every_client_reads() {
    let long = "\u{1f3ba}".repeat(100_000);
    let event = EventDraft { event_id: long.clone(), data: long.clone(), ..EventDraft::default() };
    let streams = vec![StreamDraft { events: vec![event; 5], ..StreamDraft::default() }];
    let violations =
        Append::parse(AppendDraft { streams, tenant_id: long, ..AppendDraft::default() }).unwrap_err();
    let total = violations.iter().count();
    let status = refuse(&StoreError::Invalid(violations));
    let named = status.get_details_bad_request().unwrap().field_violations.len();
    assert_eq!(named + metadata(&status)["omitted"].parse::<usize>().unwrap(), total);
    let bytes = trailers_bytes(status);
    assert!(bytes <= TRAILERS_BYTES_MAX, "{bytes}");
}

#[test]
fn the_longest_names_and_lists_fit_into_the_trailers() {
    let name = |chars| "\u{1f3ba}".repeat(chars);
    let stream = StreamId::from_row(name(100), name(255));
    let conflict = VersionConflict { stream, expected: ExpectedVersion::NoStream, actual: Version::new(7) };
    let event_ids: Vec<_> = (0..1_000).map(Uuid::from_u128).collect();
    for error in [
        StoreError::EventIdConflict { event_ids },
        StoreError::VersionConflict(vec![conflict; 100]),
        StoreError::TenantNotFound { tenant: TenantId::parse(name(255)).unwrap() },
    ] {
        let bytes = trailers_bytes(refuse(&error));
        assert!(bytes <= TRAILERS_BYTES_MAX, "{bytes}: {}", reason_name(explain(&error).reason));
    }
}

#[test]
fn the_documented_table_is_complete_and_has_our_codes() {
    let page = include_str!("../../../../docs/errors.md");
    for number in 1.. {
        let Ok(reason) = ErrorReason::try_from(number) else { break };
        let code = format!("{:?}", code(reason)).to_uppercase();
        let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", reason_name(reason))));
        let row = row.unwrap_or_else(|| panic!("{} is missing", reason_name(reason)));
        assert!(row.replace('_', "").contains(&format!("| {code}")), "{row}: not {code}");
    }
}

#[test]
fn a_refused_step_lists_its_obstacles_with_what_mends_them() {
    let instances = |count| Refusal::Instances { count, first: "process 7 on db-1 is off".to_owned() };
    let obstacles = [Refusal::Quarantine { rows: 3 }, instances(2)];
    let status = refuse_obstacles(&obstacles);
    let info = status.get_details_error_info().unwrap();
    assert_eq!((status.code(), info.reason.as_str()), (Code::FailedPrecondition, "MIGRATION_OBSTACLE"));
    assert_eq!(metadata(&status)["obstacles"], "QUARANTINE,INSTANCES");
    let violations = status.get_details_precondition_failure().unwrap().violations;
    assert_eq!((violations.len(), violations[1].r#type.as_str()), (2, "INSTANCES"));
    assert!(violations[1].subject.contains("process 7 on db-1"), "{violations:?}");
    assert_eq!(violations[0].description, obstacles[0].mend());
    // As many as there can be, and then some.
    let many: Vec<_> = (0..12).map(instances).collect();
    assert!(trailers_bytes(refuse_obstacles(&many)) <= TRAILERS_BYTES_MAX);
}

#[test]
fn a_tenant_that_the_migration_does_not_know_is_not_found() {
    let tenant = TenantId::parse("nobody").unwrap();
    let status = refuse_migration(&Refusal::TenantUnknown(tenant).into());
    assert_eq!((status.code(), metadata(&status)["tenant_id"].as_str()), (Code::NotFound, "nobody"));
}
