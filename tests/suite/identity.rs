//! Who is let in, and to what: nothing is read or written for anybody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use partita_proto::v1::append_pipeline_response::Result as Answer;
use partita_proto::v1::{
    AppendPipelineRequest, AppendStreamsRequest, CheckPartitionsRequest, ErrorReason, GetAppendResultRequest,
    ListPartitionsRequest, MaintainPartitionsRequest, PurgeLegacyRequest, ReadStreamRequest,
    RestorePartitionRequest, SetLegalHoldRequest, SetRetentionRequest, StreamAppend, VerifyChainRequest,
};
use partita_server::auth::{AuthConfig, AuthMode, KeyLocation};
use partita_tests::{Issuer, Refusal, TestDatabase, TestServer, any, eventually, messages};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_stream::iter;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

async fn serve(database: &TestDatabase, auth: AuthConfig) -> TestServer {
    let change = |config: &mut partita_store::StoreConfig| config.partitions_v1 = true;
    TestServer::start_configured(database, change, |config| config.auth = auth).await
}

fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

fn refusal<T>(answer: Result<T, Status>) -> Refusal {
    Refusal::from(answer.err().expect("the call must be refused"))
}

/// Appends an event to a tenant, as whoever has the token.
async fn append(server: &TestServer, token: &str, tenant: &str) -> Result<(), Status> {
    let message = server.append(tenant, "order", "1").event("Placed").request;
    server.events().append(with(token, message)).await.map(drop)
}

fn assert_denied(refusal: &Refusal, tenant: &str) {
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::PermissionDenied, "PERMISSION_DENIED"));
    assert_eq!(refusal.fact("tenant_id"), tenant);
}

#[tokio::test]
async fn a_credential_reads_and_writes_its_tenant_and_no_other() {
    let (database, issuer) = (TestDatabase::new().await, Issuer::new("a"));
    let server = serve(&database, issuer.accepted()).await;
    let (acme, globex) = (issuer.token(&["acme"], &[]), issuer.token(&["globex"], &[]));
    append(&server, &acme, "acme").await.unwrap();
    append(&server, &globex, "globex").await.unwrap();
    let before = database.contents().await;

    assert_denied(&refusal(append(&server, &acme, "globex").await), "globex");
    let single = server.append("globex", "order", "1").event("Placed").request;
    let part = StreamAppend {
        aggregate_type: "order".to_owned(),
        aggregate_id: "1".to_owned(),
        expected_version: single.expected_version,
        events: single.events.clone(),
    };
    let several = AppendStreamsRequest {
        tenant_id: "globex".to_owned(),
        streams: vec![part],
        context: single.context.clone(),
    };
    assert_denied(&refusal(server.events().append_streams(with(&acme, several)).await), "globex");
    let read = |tenant: &str| ReadStreamRequest {
        tenant_id: tenant.to_owned(),
        aggregate_type: "order".to_owned(),
        aggregate_id: "1".to_owned(),
        ..ReadStreamRequest::default()
    };
    assert_denied(&refusal(server.events().read_stream(with(&acme, read("globex"))).await), "globex");
    server.events().read_stream(with(&acme, read("acme"))).await.unwrap();
    let find = GetAppendResultRequest {
        tenant_id: "globex".to_owned(),
        event_ids: vec![uuid::Uuid::new_v4().to_string()],
    };
    assert_denied(&refusal(server.events().get_append_result(with(&acme, find)).await), "globex");
    assert_eq!(database.contents().await, before);
}

#[tokio::test]
async fn a_foreign_append_in_a_pipeline_is_denied_and_its_neighbours_are_recorded() {
    let (database, issuer) = (TestDatabase::new().await, Issuer::new("a"));
    let server = serve(&database, issuer.accepted()).await;
    let tenants = ["acme", "globex", "acme"];
    let requests = tenants.iter().zip(1..).map(|(tenant, sequence)| {
        let append = Some(server.append(tenant, "order", &format!("{sequence}")).event("Placed").request);
        AppendPipelineRequest { sequence, append }
    });
    let requests: Vec<_> = requests.collect();
    let call = with(&issuer.token(&["acme"], &[]), iter(requests));
    let answers = server.events().append_pipeline(call).await.unwrap().into_inner();
    let (mut recorded, mut denied) = (Vec::new(), Vec::new());
    for answer in messages(answers).await.unwrap() {
        match answer.result.unwrap() {
            Answer::Appended(_) => recorded.push(answer.sequence),
            Answer::Failure(failure) => {
                assert_eq!(failure.reason(), ErrorReason::PermissionDenied);
                denied.push(answer.sequence);
            }
        }
    }
    recorded.sort_unstable();
    assert_eq!((recorded, denied), (vec![1, 3], vec![2]));
    assert_eq!(database.count("event_store WHERE tenant_id <> 'acme'").await, 0);
}

#[tokio::test]
async fn administration_needs_the_role_and_the_tenant_also_of_a_page_token() {
    let (database, issuer) = (TestDatabase::new().await, Issuer::new("a"));
    let auth = AuthConfig { allow_wildcard: true, ..issuer.accepted() };
    let server = serve(&database, auth).await;
    let everything = issuer.token(&["*"], &["admin"]);
    for tenant in ["acme", "globex"] {
        append(&server, &everything, tenant).await.unwrap();
    }
    let before = database.contents().await;
    let list = |tenant: &str, page_token: &str| ListPartitionsRequest {
        tenant_id: tenant.to_owned(),
        page_size: 1,
        page_token: page_token.to_owned(),
        include_detached: false,
    };
    let mut client = server.partitions();

    let no_role = issuer.token(&["acme"], &["operator"]);
    let refused = refusal(client.list_partitions(with(&no_role, list("acme", ""))).await);
    assert_eq!((refused.reason.as_str(), refused.fact("role")), ("PERMISSION_DENIED", "admin"));

    let acme = issuer.token(&["acme"], &["admin"]);
    client.list_partitions(with(&acme, list("acme", ""))).await.unwrap();
    for tenant in ["globex", ""] {
        assert_denied(&refusal(client.list_partitions(with(&acme, list(tenant, ""))).await), tenant);
        let maintain = MaintainPartitionsRequest {
            tenant_id: tenant.to_owned(),
            ..MaintainPartitionsRequest::default()
        };
        assert_denied(&refusal(client.maintain_partitions(with(&acme, maintain)).await), tenant);
        let check =
            CheckPartitionsRequest { tenant_id: tenant.to_owned(), ..CheckPartitionsRequest::default() };
        assert_denied(&refusal(client.check_partitions(with(&acme, check)).await), tenant);
        let purge = PurgeLegacyRequest { tenant_id: tenant.to_owned(), ..PurgeLegacyRequest::default() };
        assert_denied(&refusal(client.purge_legacy(with(&acme, purge)).await), tenant);
        let retention =
            SetRetentionRequest { tenant_id: tenant.to_owned(), ..SetRetentionRequest::default() };
        assert_denied(&refusal(client.set_retention(with(&acme, retention)).await), tenant);
        let hold = SetLegalHoldRequest { tenant_id: tenant.to_owned(), ..SetLegalHoldRequest::default() };
        assert_denied(&refusal(client.set_legal_hold(with(&acme, hold)).await), tenant);
        let verify = VerifyChainRequest { tenant_id: tenant.to_owned() };
        assert_denied(&refusal(client.verify_chain(with(&acme, verify)).await), tenant);
    }
    let restore =
        RestorePartitionRequest { tenant_id: "globex".to_owned(), ..RestorePartitionRequest::default() };
    assert_denied(&refusal(client.restore_partition(with(&acme, restore)).await), "globex");

    // A token of another tenant's list, under the own name.
    let page = client.list_partitions(with(&everything, list("globex", ""))).await.unwrap();
    let foreign = page.into_inner().next_page_token;
    assert!(!foreign.is_empty());
    assert_denied(&refusal(client.list_partitions(with(&acme, list("acme", &foreign))).await), "globex");
    assert_eq!(database.contents().await, before);
}

#[tokio::test]
async fn the_wildcard_means_nothing_unless_the_configuration_allows_it() {
    let (database, issuer) = (TestDatabase::new().await, Issuer::new("a"));
    let server = serve(&database, issuer.accepted()).await;
    let token = issuer.token(&["*"], &["admin"]);
    for tenant in ["acme", "*"] {
        assert_denied(&refusal(append(&server, &token, tenant).await), tenant);
    }
}

#[tokio::test]
async fn a_token_that_does_not_hold_in_every_way_opens_nothing() {
    let (database, issuer) = (TestDatabase::new().await, Issuer::new("a"));
    let server = serve(&database, issuer.accepted()).await;
    let good = issuer.claims(&["acme"], &[]);
    let claims = |change: &dyn Fn(&mut Value)| {
        let mut claims = good.clone();
        change(&mut claims);
        issuer.sign(&claims)
    };
    let without = |claim: &'static str| claims(&|all| drop(all.as_object_mut().unwrap().remove(claim)));
    let set = |claim: &'static str, value: Value| claims(&|all| all[claim] = value.clone());
    let now = Issuer::now();
    let signed = issuer.sign(&good);
    let header = |header: Value| issuer.sign_with(&header, &good);
    let cases = [
        ("no token", String::new()),
        ("no aud", without("aud")),
        ("another aud", set("aud", json!("another"))),
        ("no iss", without("iss")),
        ("another iss", set("iss", json!("https://evil.example"))),
        ("iss as a list", set("iss", json!(["https://id.example"]))),
        ("no sub", without("sub")),
        ("empty sub", set("sub", json!(""))),
        ("no exp", without("exp")),
        ("exp as text", set("exp", json!((now + 3_600).to_string()))),
        ("expired", set("exp", json!(now - 60))),
        ("not valid yet", set("nbf", json!(now + 600))),
        ("nbf as text", set("nbf", json!("0"))),
        ("alg none", issuer.leave_unsigned(&good)),
        ("signed with the public key", issuer.sign_with_public_key(&good)),
        ("alg of another", header(json!({ "alg": "RS256", "kid": "a" }))),
        ("critical extension", header(json!({ "alg": "ES256", "kid": "a", "crit": ["exp"], "exp": 0 }))),
        ("unknown kid", header(json!({ "alg": "ES256", "kid": "b" }))),
        ("another key", Issuer::new("a").sign(&good)),
        ("cut", signed[..signed.len() - 4].to_owned()),
        ("garbage", "a.b.c".to_owned()),
    ];
    for (case, token) in cases {
        let refused = refusal(append(&server, &token, "acme").await);
        assert_eq!(
            (refused.code, refused.reason.as_str()),
            (Code::Unauthenticated, "UNAUTHENTICATED"),
            "{case}"
        );
        assert!(token.len() < 20 || !refused.message.contains(&token), "{case}");
    }
    let refused = server.append("acme", "order", "1").event("Placed").refused().await;
    assert_eq!(refused.reason, "UNAUTHENTICATED");
    assert_eq!(database.count("event_store").await, 0);
    append(&server, &signed, "acme").await.unwrap();
    append(&server, &header(json!({ "alg": "ES256" })), "acme").await.unwrap();
}

#[tokio::test]
async fn probes_need_no_credential() {
    let (database, issuer) = (TestDatabase::new().await, Issuer::new("a"));
    let server = serve(&database, issuer.accepted()).await;
    for service in ["", "liveness", "readiness"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        HealthClient::new(server.channel()).check(request).await.unwrap();
    }
}

/// Serves keys on this machine; counts how often it is asked.
async fn key_server(keys: Arc<std::sync::Mutex<String>>) -> (KeyLocation, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            let mut request = [0; 4_096];
            let _read = connection.read(&mut request).await;
            let body = keys.lock().unwrap().clone();
            let head =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            let _sent = connection.write_all(format!("{head}{body}").as_bytes()).await;
        }
    });
    (KeyLocation::Url(url), asked)
}

#[tokio::test]
async fn unknown_keys_are_looked_for_once_an_interval_whoever_asks() {
    let (database, issuer) = (TestDatabase::new().await, Issuer::new("a"));
    let keys = Arc::new(std::sync::Mutex::new(issuer.keys()));
    let (location, asked) = key_server(keys).await;
    let server = serve(&database, issuer.accepted_with(location, Duration::from_secs(3_600))).await;
    append(&server, &issuer.token(&["acme"], &[]), "acme").await.unwrap();
    let stranger = Issuer::new("b");
    for _ in 0..20 {
        let refused = refusal(append(&server, &stranger.token(&["acme"], &[]), "acme").await);
        assert_eq!(refused.reason, "UNAUTHENTICATED");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn keys_that_are_rotated_are_taken_over_and_the_old_ones_end() {
    let (database, old, new) = (TestDatabase::new().await, Issuer::new("a"), Issuer::new("b"));
    let keys = Arc::new(std::sync::Mutex::new(old.keys()));
    let (location, _asked) = key_server(Arc::clone(&keys)).await;
    let server = serve(&database, old.accepted_with(location, Duration::ZERO)).await;
    append(&server, &old.token(&["acme"], &[]), "acme").await.unwrap();
    *keys.lock().unwrap() = new.keys();
    append(&server, &new.token(&["acme"], &[]), "acme").await.unwrap();
    let refused = refusal(append(&server, &old.token(&["acme"], &[]), "acme").await);
    assert_eq!(refused.reason, "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_pipeline_that_outlives_its_token_takes_nothing_more_in() {
    let (database, issuer) = (TestDatabase::new().await, Issuer::new("a"));
    let mut auth = issuer.accepted();
    let AuthMode::Jwt(jwt) = &mut auth.mode else { panic!("tokens are asked for") };
    jwt.leeway = Duration::ZERO;
    let server = serve(&database, auth).await;
    let mut claims = issuer.claims(&["acme"], &[]);
    claims["exp"] = json!(Issuer::now() + 5);
    let (sender, requests) = tokio::sync::mpsc::channel(1);
    let call = with(&issuer.sign(&claims), ReceiverStream::new(requests));
    let mut answers = server.events().append_pipeline(call).await.unwrap().into_inner();
    let mut recorded = 0;
    let mut next = async || {
        let append = server.append("acme", "order", "1").expected(any()).event("Placed").request;
        sender.send(AppendPipelineRequest { sequence: 1, append: Some(append) }).await.unwrap();
        match answers.message().await.unwrap().unwrap().result.unwrap() {
            Answer::Appended(_) => {
                recorded += 1;
                false
            }
            Answer::Failure(failure) => {
                assert_eq!(failure.reason(), ErrorReason::Unauthenticated);
                true
            }
        }
    };
    assert!(!next().await, "the token holds");
    eventually("the token is refused", &mut next).await;
    assert!(next().await, "and stays so");
    assert_eq!(database.count("event_store").await, recorded);
}
