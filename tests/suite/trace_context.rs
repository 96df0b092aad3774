//! The trace that an append belongs to is kept with its events, and never in the way of what the caller says.

use partita_tests::{TestDatabase, TestServer, any};
use tonic::Request;
use uuid::Uuid;

const TRACES: [&str; 2] = ["4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"];

#[tokio::test]
async fn an_append_without_a_correlation_id_keeps_its_trace_and_a_retry_in_another_trace_is_the_same_append()
{
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let id = Uuid::new_v4().to_string();
    let call = server.append("acme", "order", "1").expected(any());
    let call = call.event_with(|event| event.event_id.clone_from(&id));
    let own = server.append("acme", "order", "2").event("Placed");
    let own = own.context(|context| context.correlation_id = "order-7".to_owned());
    let plain = server.append("acme", "order", "3").event("Placed");
    for (trace, replayed) in TRACES.into_iter().zip([false, true]) {
        let in_trace = |message| {
            let mut request = Request::new(message);
            let header = format!("00-{trace}-00f067aa0ba902b7-01");
            request.metadata_mut().insert("traceparent", header.parse().unwrap());
            request
        };
        let answer = server.events().append(in_trace(call.request.clone())).await.unwrap().into_inner();
        assert_eq!(answer.replayed, replayed);
        server.events().append(in_trace(own.request.clone())).await.unwrap();
    }
    plain.ok().await;
    let kept = "SELECT aggregate_id || ' ' || coalesce(correlation_id, '-') FROM event_store \
         ORDER BY aggregate_id, aggregate_version";
    let expected =
        [format!("1 {}", TRACES[0]), "2 order-7".to_owned(), "2 order-7".to_owned(), "3 -".to_owned()];
    assert_eq!(database.column::<String>(kept).await, expected);
    database.assert_sound(&server).await;
}
