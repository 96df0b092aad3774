//! Many appends in flight through one call: each answered for itself, those of one stream in their order.

use std::collections::HashMap;
use std::time::Duration;

use partita_proto::v1::append_pipeline_response::Result as Answer;
use partita_proto::v1::expected_version::Expected;
use partita_proto::v1::{
    AppendFailure, AppendPipelineRequest, AppendPipelineResponse, AppendRequest, AppendResponse, ErrorReason,
};
use partita_tests::{
    Refusal, Setting, TestDatabase, TestServer, any, eventually, exact, in_every_phase, messages, no_stream,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Request, Status, Streaming};
use uuid::Uuid;

in_every_phase!(
    every_append_is_answered_and_those_of_a_stream_keep_their_order,
    a_refused_append_is_told_as_append_would_and_holds_nothing_up,
    what_a_cut_call_left_unanswered_is_sent_again_and_recorded_once,
    a_server_that_shuts_down_answers_what_is_in_flight_and_says_why_it_ends,
);

/// A call that stays open until it is dropped or its sending side is closed.
struct Pipeline {
    requests: mpsc::UnboundedSender<AppendPipelineRequest>,
    answers: Streaming<AppendPipelineResponse>,
}

impl Pipeline {
    async fn open(server: &TestServer) -> Self {
        Self::open_for(server, None).await
    }

    async fn open_for(server: &TestServer, timeout: Option<Duration>) -> Self {
        let (requests, stream) = mpsc::unbounded_channel();
        let mut request = Request::new(UnboundedReceiverStream::new(stream));
        if let Some(timeout) = timeout {
            request.set_timeout(timeout);
        }
        let answers = server.events().append_pipeline(request).await.unwrap().into_inner();
        Self { requests, answers }
    }

    fn send(&self, sequence: u64, append: AppendRequest) {
        self.requests.send(AppendPipelineRequest { sequence, append: Some(append) }).unwrap();
    }

    async fn answer(&mut self) -> Result<Option<(u64, Answer)>, Status> {
        let answer = self.answers.message().await?;
        Ok(answer.map(|answer| (answer.sequence, answer.result.unwrap())))
    }

    /// So many answers, in the order in which they come.
    async fn answers(&mut self, count: usize) -> Vec<(u64, Answer)> {
        let mut answers = Vec::new();
        while answers.len() < count {
            answers.push(self.answer().await.unwrap().expect("the call goes on"));
        }
        answers
    }

    /// Closes the sending side, and takes what is still answered; the call must end well.
    async fn finish(self) -> Vec<(u64, Answer)> {
        let Self { requests, answers } = self;
        drop(requests);
        let rest = messages(answers).await.unwrap().into_iter();
        rest.map(|answer| (answer.sequence, answer.result.unwrap())).collect()
    }
}

fn append(server: &TestServer, aggregate_id: &str, expected: Expected, id: Uuid) -> AppendRequest {
    let call = server.append("acme", "order", aggregate_id).expected(expected);
    call.event_with(|event| event.event_id = id.to_string()).request
}

fn recorded(answer: &Answer) -> &AppendResponse {
    match answer {
        Answer::Appended(appended) => appended,
        Answer::Failure(failure) => panic!("refused: {failure:?}"),
    }
}

fn failed(answer: &Answer) -> &AppendFailure {
    match answer {
        Answer::Appended(appended) => panic!("recorded: {appended:?}"),
        Answer::Failure(failure) => failure,
    }
}

async fn every_append_is_answered_and_those_of_a_stream_keep_their_order(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let pipeline = Pipeline::open(&server).await;
    for sequence in 0..400_u64 {
        // Each expects the one before it in its stream, which is not answered yet.
        let expected = match i32::try_from(sequence / 20).unwrap() {
            0 => no_stream(),
            version => exact(version),
        };
        pipeline.send(sequence, append(&server, &(sequence % 20).to_string(), expected, Uuid::new_v4()));
    }
    let answers: HashMap<_, _> = pipeline.finish().await.into_iter().collect();
    assert_eq!(answers.len(), 400);
    for (sequence, answer) in &answers {
        let appended = recorded(answer);
        assert_eq!(u64::try_from(appended.first_version).unwrap(), sequence / 20 + 1);
        assert_eq!((appended.events.len(), appended.replayed), (1, false));
    }
    assert_eq!(database.events().await, 400);
}

#[tokio::test]
async fn a_thousand_appends_wait_in_flight_and_are_all_recorded() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "first").event("First").ok().await;
    let mut pipeline = Pipeline::open(&server).await;
    let appends: Vec<_> =
        (1..=1_000).map(|stream| append(&server, &stream.to_string(), no_stream(), Uuid::new_v4())).collect();
    // While another session holds the tenant, nothing of it can be recorded.
    let mut other = database.connect().await;
    let hold = "BEGIN; SELECT FROM event_store_tenant WHERE tenant_id = 'acme' FOR UPDATE";
    sqlx::raw_sql(hold).execute(&mut other).await.unwrap();
    for (sequence, append) in (1..).zip(appends) {
        pipeline.send(sequence, append);
    }
    // Answered, although it was sent behind them: it is wrong in itself. So the others were read.
    pipeline.send(1_001, AppendRequest::default());
    let (sequence, answer) = pipeline.answers(1).await.remove(0);
    assert_eq!((sequence, failed(&answer).reason()), (1_001, ErrorReason::InvalidArgument));
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();

    let mut answers = pipeline.answers(1_000).await;
    answers.sort_by_key(|(sequence, _)| *sequence);
    let mut positions: Vec<_> =
        answers.iter().map(|(_, answer)| recorded(answer).events[0].position).collect();
    positions.sort();
    assert_eq!(positions, (2..=1_001).map(Some).collect::<Vec<_>>());
    assert!(pipeline.finish().await.is_empty());
    assert_eq!(database.differing_rows().await, 0);
}

async fn a_refused_append_is_told_as_append_would_and_holds_nothing_up(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let taken = Uuid::new_v4();
    server.append("acme", "order", "0").event_with(|event| event.event_id = taken.to_string()).ok().await;
    let pipeline = Pipeline::open(&server).await;
    pipeline.send(1, append(&server, "1", no_stream(), Uuid::new_v4()));
    pipeline.send(2, append(&server, "1", no_stream(), Uuid::new_v4()));
    pipeline.send(3, append(&server, "1", exact(1), Uuid::new_v4()));
    let mut broken = append(&server, "1", any(), Uuid::new_v4());
    broken.events[0].data = "{".to_owned();
    broken.context = None;
    pipeline.send(4, broken);
    pipeline.requests.send(AppendPipelineRequest { sequence: 5, append: None }).unwrap();
    pipeline.send(6, append(&server, "2", any(), taken));
    let answers: HashMap<_, _> = pipeline.finish().await.into_iter().collect();

    assert_eq!(recorded(&answers[&1]).last_version, 1);
    assert_eq!(recorded(&answers[&3]).last_version, 2);
    let conflict = failed(&answers[&2]);
    assert_eq!((conflict.code, conflict.reason()), (Code::Aborted as i32, ErrorReason::VersionConflict));
    assert_eq!(
        (conflict.metadata["stream"].as_str(), conflict.metadata["actual"].as_str()),
        ("order/1", "1")
    );
    let fields = |sequence: u64| -> Vec<_> {
        failed(&answers[&sequence]).field_violations.iter().map(|one| one.field.as_str()).collect()
    };
    assert_eq!(fields(4), ["events[0].data", "context.user_id"]);
    assert_eq!(fields(5)[..2], ["tenant_id", "aggregate_type"]);
    assert_eq!(failed(&answers[&6]).reason(), ErrorReason::EventIdConflict);
    assert_eq!(failed(&answers[&6]).metadata["event_ids"], taken.to_string());
    assert_eq!(database.events().await, 3);
}

async fn what_a_cut_call_left_unanswered_is_sent_again_and_recorded_once(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let appends: Vec<_> = (0..300_u64)
        .map(|sequence| append(&server, &(sequence % 7).to_string(), any(), Uuid::new_v4()))
        .collect();
    let send_all = |pipeline: &Pipeline| {
        for (sequence, append) in (0..).zip(&appends) {
            pipeline.send(sequence, append.clone());
        }
    };
    for answered in [1, 50, 120] {
        let mut pipeline = Pipeline::open(&server).await;
        send_all(&pipeline);
        pipeline.answers(answered).await;
        drop(pipeline);
    }
    let pipeline = Pipeline::open(&server).await;
    send_all(&pipeline);
    let answers = pipeline.finish().await;
    assert_eq!(answers.len(), 300);
    assert!(answers.iter().all(|(_, answer)| recorded(answer).events.len() == 1));
    assert_eq!(database.events().await, 300);
    database.assert_last_position("acme", 300).await;
    assert_eq!(database.differing_rows().await, 0);
    eventually("nothing left open", async || {
        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND state LIKE 'idle in transaction%'";
        database.scalar::<i64>(open).await == 0
    })
    .await;
}

async fn a_server_that_shuts_down_answers_what_is_in_flight_and_says_why_it_ends(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let mut pipeline = Pipeline::open(&server).await;
    for sequence in 0..50 {
        pipeline.send(sequence, append(&server, &sequence.to_string(), any(), Uuid::new_v4()));
    }
    let mut answered = pipeline.answers(1).await.len();
    let stopping = tokio::spawn(server.stop());
    let refusal = loop {
        match pipeline.answer().await {
            Ok(answer) => {
                recorded(&answer.expect("the call does not end well").1);
                answered += 1;
            }
            Err(status) => break Refusal::from(status),
        }
    };
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Unavailable, "SHUTTING_DOWN"));
    stopping.await.unwrap();
    assert_eq!(database.events().await, i64::try_from(answered).unwrap());
}

#[tokio::test]
async fn a_call_whose_deadline_passes_ends_and_says_what_may_be_assumed() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    // The tenant's partitions take a while; they are made before the time runs.
    server.append("acme", "order", "0").event("First").ok().await;
    let mut pipeline = Pipeline::open_for(&server, Some(Duration::from_secs(5))).await;
    pipeline.send(1, append(&server, "1", any(), Uuid::new_v4()));
    recorded(&pipeline.answers(1).await[0].1);
    let refusal = Refusal::from(pipeline.answer().await.unwrap_err());
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
}

#[tokio::test]
async fn a_pipeline_without_an_append_ends_well() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    assert!(Pipeline::open(&server).await.finish().await.is_empty());
}
