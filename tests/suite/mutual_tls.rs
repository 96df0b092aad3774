//! TLS, and clients that prove by a certificate who they are.

use std::collections::BTreeSet;

use partita_proto::v1::event_store_service_client::EventStoreServiceClient;
use partita_server::auth::{AuthConfig, AuthMode, CertificateIdentity};
use partita_tests::{Authority, Refusal, TestDatabase, TestServer, eventually};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

const ORDERS: &str = "spiffe://acme.example/orders";

fn identity(name: &str) -> CertificateIdentity {
    let tenants = BTreeSet::from(["acme".to_owned()]);
    CertificateIdentity { name: name.to_owned(), tenants, roles: BTreeSet::new() }
}

async fn serve(database: &TestDatabase, authority: &Authority) -> TestServer {
    let tls = authority.write(&authority.server(), authority);
    let mode = AuthMode::Mtls(vec![identity(ORDERS), identity("CN=billing"), identity("CN=billing,O=Acme")]);
    TestServer::start_configured(
        database,
        |config| config.partitions_v1 = true,
        |config| {
            config.tls = Some(tls);
            config.auth = AuthConfig { mode, ..AuthConfig::default() };
        },
    )
    .await
}

async fn append(server: &TestServer, channel: Channel, tenant: &str) -> Result<(), Status> {
    let message = server.append(tenant, "order", "1").event("Placed").request;
    EventStoreServiceClient::new(channel).append(message).await.map(drop)
}

#[tokio::test]
async fn a_certificate_opens_what_it_stands_for() {
    let (database, authority) = (TestDatabase::new().await, Authority::new());
    let server = serve(&database, &authority).await;
    for (uri, common_name) in [(Some(ORDERS), "anything"), (None, "billing")] {
        let client = authority.client(uri, common_name);
        append(&server, authority.connection(&server, Some(&client)), "acme").await.unwrap();
        let refused = append(&server, authority.connection(&server, Some(&client)), "globex").await;
        assert_eq!(Refusal::from(refused.unwrap_err()).reason, "PERMISSION_DENIED");
    }
    assert_eq!(database.count("event_store").await, 2);
}

#[tokio::test]
async fn a_certificate_of_nobody_or_none_or_of_another_authority_opens_nothing() {
    let (database, authority) = (TestDatabase::new().await, Authority::new());
    let server = serve(&database, &authority).await;
    let nobody = authority.client(Some("spiffe://acme.example/stranger"), "stranger");
    let disguised = authority.client(None, "billing,O=Acme");
    for client in [Some(&nobody), Some(&disguised), None] {
        let refused = append(&server, authority.connection(&server, client), "acme").await.unwrap_err();
        let refused = Refusal::from(refused);
        assert_eq!((refused.code, refused.reason.as_str()), (Code::Unauthenticated, "UNAUTHENTICATED"));
    }
    let forged = Authority::new().client(Some(ORDERS), "orders");
    append(&server, authority.connection(&server, Some(&forged)), "acme").await.unwrap_err();
    // In the clear.
    server.append("acme", "order", "1").event("Placed").send().await.unwrap_err();
    assert_eq!(database.count("event_store").await, 0);

    let mut health = HealthClient::new(authority.connection(&server, None));
    health.check(HealthCheckRequest { service: "liveness".to_owned() }).await.unwrap();
}

#[tokio::test]
async fn certificates_that_are_replaced_are_taken_over_without_a_restart() {
    let (database, authority) = (TestDatabase::new().await, Authority::new());
    let server = serve(&database, &authority).await;
    let old = authority.connection(&server, Some(&authority.client(Some(ORDERS), "orders")));
    append(&server, old.clone(), "acme").await.unwrap();

    let next = Authority::new();
    authority.write(&next.server(), &next);
    let client = next.client(Some(ORDERS), "orders");
    let taken_over = async || append(&server, next.connection(&server, Some(&client)), "acme").await.is_ok();
    eventually("the new certificates are in force", taken_over).await;
    // What is open goes on, what is new is refused.
    append(&server, old, "acme").await.unwrap();
    let stale = authority.connection(&server, Some(&authority.client(Some(ORDERS), "orders")));
    append(&server, stale, "acme").await.unwrap_err();
}
