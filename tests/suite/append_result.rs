//! What became of an append whose answer was lost.

use partita_proto::v1::{AppendResponse, EventResult, GetAppendResultRequest};
use partita_tests::{Refusal, Setting, TestDatabase, TestServer, in_every_phase};
use tonic::{Code, Status};
use uuid::Uuid;

in_every_phase!(
    recorded_events_are_told_as_their_append_was_answered,
    the_events_of_another_tenant_are_not_told,
    a_refused_append_is_told_as_not_recorded,
);

async fn results(server: &TestServer, tenant: &str, ids: &[Uuid]) -> Result<Vec<EventResult>, Status> {
    let event_ids = ids.iter().map(Uuid::to_string).collect();
    let request = GetAppendResultRequest { tenant_id: tenant.to_owned(), event_ids };
    server.events().get_append_result(request).await.map(|answer| answer.into_inner().results)
}

async fn append(server: &TestServer, aggregate_id: &str, ids: &[Uuid]) -> AppendResponse {
    let call = server.append("acme", "order", aggregate_id);
    let call = ids.iter().fold(call, |call, id| call.event_with(|event| event.event_id = id.to_string()));
    call.ok().await
}

async fn recorded_events_are_told_as_their_append_was_answered(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let [a, b, c, unknown] = std::array::from_fn(|_| Uuid::new_v4());
    let first = append(&server, "1", &[a, b]).await;
    let second = append(&server, "2", &[c]).await;

    let results = results(&server, "acme", &[c, unknown, b, a, c]).await.unwrap();
    let ids: Vec<Uuid> = results.iter().map(|result| result.event_id.parse().unwrap()).collect();
    assert_eq!(ids, [c, unknown, b, a, c]);
    assert_eq!(results[1].recorded, None);
    for (result, aggregate_id, event) in [
        (&results[0], "2", &second.events[0]),
        (&results[2], "1", &first.events[1]),
        (&results[3], "1", &first.events[0]),
        (&results[4], "2", &second.events[0]),
    ] {
        let recorded = result.recorded.as_ref().unwrap();
        assert_eq!(
            (recorded.aggregate_type.as_str(), recorded.aggregate_id.as_str()),
            ("order", aggregate_id)
        );
        assert_eq!(recorded.event.as_ref(), Some(event));
        assert_eq!(event.position.is_some(), setting.flag());
    }
}

async fn the_events_of_another_tenant_are_not_told(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let id = Uuid::new_v4();
    append(&server, "1", &[id]).await;
    assert_eq!(results(&server, "beta", &[id]).await.unwrap()[0].recorded, None);
}

async fn a_refused_append_is_told_as_not_recorded(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let id = Uuid::new_v4();
    let stale = server.append("acme", "order", "1").expected(partita_tests::exact(7));
    stale.event_with(|event| event.event_id = id.to_string()).refused().await;
    assert_eq!(results(&server, "acme", &[id]).await.unwrap()[0].recorded, None);
}

#[tokio::test]
async fn a_search_without_ids_or_with_too_many_is_refused() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    for ids in [vec![], vec![Uuid::nil(); 1_001]] {
        let refusal = Refusal::from(results(&server, "acme", &ids).await.unwrap_err());
        assert_eq!((refusal.code, refusal.fields), (Code::InvalidArgument, vec!["event_ids".to_owned()]));
    }
    assert_eq!(results(&server, "acme", &vec![Uuid::nil(); 1_000]).await.unwrap().len(), 1_000);
}
