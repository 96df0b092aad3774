//! What probes and grpcurl ask for.

use partita_tests::{TestDatabase, TestServer, eventually, exact, no_stream};
use tokio_stream::once;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

async fn status(server: &TestServer, service: &str) -> Result<ServingStatus, Code> {
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(server.channel()).check(request).await;
    answer.map(|answer| answer.into_inner().status()).map_err(|status| status.code())
}

#[tokio::test]
async fn the_service_is_serving_while_the_database_answers() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    for service in ["", "partita.v1.EventStoreService", "partita.v1.PartitionAdminService"] {
        let serving = async || status(&server, service).await == Ok(ServingStatus::Serving);
        eventually("the service is serving", serving).await;
    }
    assert_eq!(status(&server, "partita.v1.NoSuchService").await, Err(Code::NotFound));
}

#[tokio::test]
async fn while_the_database_is_gone_nothing_is_served_and_afterwards_all_is_well() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let is = async |wanted| status(&server, "").await == Ok(wanted);
    server.append("acme", "order", "1").expected(no_stream()).event("First").ok().await;
    eventually("serving", async || is(ServingStatus::Serving).await).await;

    database.close().await;
    let refusal = server.append("acme", "order", "1").expected(exact(1)).event("Lost").refused().await;
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
    eventually("not serving", async || is(ServingStatus::NotServing).await).await;

    database.reopen().await;
    eventually("serving again", async || is(ServingStatus::Serving).await).await;
    server.append("acme", "order", "1").expected(exact(1)).event("Second").ok().await;
    assert_eq!(server.read("acme", "order", "1").versions().await, [1, 2]);
    assert_eq!(database.differing_rows().await, 0);
}

async fn reflect(server: &TestServer, request: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let mut client = ServerReflectionClient::new(server.channel());
    let mut answers = client.server_reflection_info(once(request)).await.unwrap().into_inner();
    let answer: ServerReflectionResponse = answers.message().await.unwrap().unwrap();
    answer.message_response.unwrap()
}

#[tokio::test]
async fn reflection_lists_the_services_and_describes_them() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let MessageResponse::ListServicesResponse(list) =
        reflect(&server, MessageRequest::ListServices(String::new())).await
    else {
        panic!("no list of services");
    };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    for service in
        ["partita.v1.EventStoreService", "partita.v1.PartitionAdminService", "grpc.health.v1.Health"]
    {
        assert!(names.contains(&service), "{names:?}");
        let symbol = MessageRequest::FileContainingSymbol(service.to_owned());
        let described = reflect(&server, symbol).await;
        assert!(
            matches!(&described, MessageResponse::FileDescriptorResponse(files) if !files.file_descriptor_proto.is_empty()),
            "{described:?}"
        );
    }
}
