//! Every input that Append refuses: its typed error names the field, and nothing is changed.

use partita_model::limits::{
    APPEND_EVENTS_MAX, CLASS_CHARS_MAX, EVENT_BYTES_MAX, ID_CHARS_MAX, JSON_DEPTH_MAX,
    JSON_NUMBER_DIGITS_MAX, RETENTION_POLICY_CHARS_MAX, TYPE_CHARS_MAX, USER_AGENT_CHARS_MAX,
};
use partita_proto::v1::{AppendRequest, AuditContext, ExpectedVersion, NewEvent};
use partita_tests::{AppendCall, Setting, TestDatabase, TestServer, exact, in_every_phase, month};
use tonic::Code;

in_every_phase!(
    every_refused_input_names_its_field_and_changes_nothing,
    the_last_instant_ahead_is_recorded_and_the_next_is_refused,
);

/// A request with one thing wrong, and the field that the refusal names.
type Case = (String, AppendRequest);

fn valid(server: &TestServer) -> AppendCall {
    server.append("acme", "order", "1").event("OrderPlaced")
}

/// Gives each case its own copy of a valid request to break.
struct Cases {
    valid: AppendRequest,
    cases: Vec<Case>,
}

impl Cases {
    fn add(&mut self, field: &str, break_it: impl FnOnce(&mut AppendRequest)) {
        let mut request = self.valid.clone();
        break_it(&mut request);
        self.cases.push((field.to_owned(), request));
    }

    fn text(
        &mut self,
        field: &str,
        chars_max: usize,
        required: bool,
        place: fn(&mut AppendRequest) -> &mut String,
    ) {
        self.add(field, |request| *place(request) = "é".repeat(chars_max + 1));
        self.add(field, |request| *place(request) = "a\0b".to_owned());
        if required {
            self.add(field, |request| place(request).clear());
        }
    }

    fn event(&mut self, field: &str, break_it: impl FnOnce(&mut NewEvent)) {
        self.add(&format!("events[0].{field}"), |request| break_it(&mut request.events[0]));
    }
}

fn context(request: &mut AppendRequest) -> &mut AuditContext {
    request.context.get_or_insert_default()
}

fn texts(cases: &mut Cases) {
    cases.text("tenant_id", ID_CHARS_MAX, true, |request| &mut request.tenant_id);
    cases.text("aggregate_type", TYPE_CHARS_MAX, true, |request| &mut request.aggregate_type);
    cases.text("aggregate_id", ID_CHARS_MAX, true, |request| &mut request.aggregate_id);
    cases.text("events[0].event_type", TYPE_CHARS_MAX, true, |request| &mut request.events[0].event_type);
    cases.text("context.user_id", ID_CHARS_MAX, true, |request| &mut context(request).user_id);
    cases.text("context.correlation_id", ID_CHARS_MAX, false, |r| &mut context(r).correlation_id);
    cases.text("context.legal_basis", CLASS_CHARS_MAX, false, |r| &mut context(r).legal_basis);
    cases
        .text("context.data_classification", CLASS_CHARS_MAX, false, |r| &mut context(r).data_classification);
    cases.text("context.retention_policy", RETENTION_POLICY_CHARS_MAX, false, |r| {
        &mut context(r).retention_policy
    });
    cases.text("context.user_agent", USER_AGENT_CHARS_MAX, false, |r| &mut context(r).user_agent);
    cases.text("context.session_id", ID_CHARS_MAX, false, |r| &mut context(r).session_id);
    cases.text("context.request_id", ID_CHARS_MAX, false, |r| &mut context(r).request_id);
    cases.add("context.user_id", |request| request.context = None);
    for bad in ["order-42", "0192d3a46f00700080000123456789ab", "{0192d3a4-6f00-7000-8000-0123456789ab}"] {
        cases.add("context.causation_id", |request| context(request).causation_id = bad.to_owned());
        cases.event("event_id", |event| event.event_id = bad.to_owned());
    }
    for bad in ["nowhere", "10.1.2", "10.1.2.3/33", "::1/129", "a\0b"] {
        cases.add("context.ip_address", |request| context(request).ip_address = bad.to_owned());
    }
}

fn documents(cases: &mut Cases) {
    let number = "9".repeat(JSON_NUMBER_DIGITS_MAX + 1);
    let deep = format!("{}1{}", "[".repeat(JSON_DEPTH_MAX + 1), "]".repeat(JSON_DEPTH_MAX + 1));
    let bad = [
        "{",
        "{} {}",
        "{'a': 1}",
        "NaN",
        "01",
        r#""\u0000""#,
        r#"{"\u0000": 1}"#,
        "\"a\0b\"",
        r#""\ud800""#,
        "1e2000",
        "1e-2000",
        &number,
        &deep,
    ];
    for document in bad {
        cases.event("data", |event| event.data = document.to_owned());
        cases.event("metadata", |event| event.metadata = document.to_owned());
    }
    cases.event("data", |event| event.data.clear());
    // The two share one limit.
    cases.event("data", |event| event.data = format!("\"{}\"", "x".repeat(EVENT_BYTES_MAX - 1)));
    cases.event("data", |event| {
        event.data = format!("\"{}\"", "x".repeat(EVENT_BYTES_MAX / 2));
        event.metadata = event.data.clone();
    });
}

fn counts_and_versions(cases: &mut Cases) {
    cases.add("expected_version", |request| request.expected_version = None);
    for expected in [None, Some(exact(0)), Some(exact(-1)), Some(exact(i32::MIN))] {
        cases
            .add("expected_version", |request| request.expected_version = Some(ExpectedVersion { expected }));
    }
    cases.add("events", |request| request.events.clear());
    cases.add("events", |request| {
        request.events = vec![request.events[0].clone(); APPEND_EVENTS_MAX + 1];
    });
    cases.add("events", |request| {
        let third = NewEvent { data: format!("\"{}\"", "x".repeat(900 * 1024)), ..request.events[0].clone() };
        request.events = vec![third; 4];
    });
    cases.add("events", |request| {
        request.events[0].event_id = uuid::Uuid::new_v4().to_string();
        request.events.push(request.events[0].clone());
    });
}

fn instants(cases: &mut Cases) {
    let (ahead, _) = month(3).start().to_unix();
    let bad = [(0, 1), (1_700_000_000, 999), (0, -1), (0, 1_000_000_000), (i64::MAX, 0), (ahead, 0)];
    for (seconds, nanos) in bad {
        cases.event("event_timestamp", |event| {
            event.event_timestamp = Some(prost_types::Timestamp { seconds, nanos });
        });
    }
}

async fn every_refused_input_names_its_field_and_changes_nothing(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    valid(&server).ok().await;
    let before = database.contents().await;
    let mut cases = Cases { valid: valid(&server).request, cases: Vec::new() };
    texts(&mut cases);
    documents(&mut cases);
    counts_and_versions(&mut cases);
    instants(&mut cases);
    for (field, request) in cases.cases {
        let refusal = valid(&server).with(|sent| *sent = request).refused().await;
        let answer = (refusal.code, refusal.reason.as_str(), refusal.fields.clone());
        assert_eq!(answer, (Code::InvalidArgument, "INVALID_ARGUMENT", vec![field]), "{refusal:?}");
        assert!(!refusal.descriptions[0].is_empty());
        assert_eq!(database.contents().await, before, "{refusal:?}");
    }
}

#[tokio::test]
async fn everything_that_is_wrong_is_named_at_once() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let call = valid(&server).with(|request| {
        request.tenant_id.clear();
        request.expected_version = None;
        request.events[0].data = "{".to_owned();
        request.context = None;
    });
    let refusal = call.refused().await;
    assert_eq!(refusal.fields, ["tenant_id", "expected_version", "events[0].data", "context.user_id"]);
}

async fn the_last_instant_ahead_is_recorded_and_the_next_is_refused(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let (ahead, _) = month(3).start().to_unix();
    let at = |seconds, nanos| {
        valid(&server).with(|request| {
            request.events[0].event_timestamp = Some(prost_types::Timestamp { seconds, nanos });
        })
    };
    at(ahead - 1, 999_999_000).ok().await;
    assert_eq!(at(ahead, 0).refused().await.fields, ["events[0].event_timestamp"]);
    assert_eq!(database.events().await, 1);
}
