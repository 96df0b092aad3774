//! `partita serve` as a process: it waits for its database, says who was turned away, and exports its traces.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by them")]

#[path = "serve/collector.rs"]
mod collector;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use partita_cluster::{Cluster, ClusterOptions, DATABASE, Search};
use partita_proof::process::{Service, ServiceOptions, Watchdog, output};
use partita_proto::v1::event_store_service_client::EventStoreServiceClient;
use partita_proto::v1::expected_version::{Any, Expected};
use partita_proto::v1::{AppendRequest, AuditContext, ExpectedVersion, NewEvent, ReadStreamRequest};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tonic::{Code, Request};

use self::collector::{Collector, Seen};

/// How long anything may take, on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(20);
/// A set of keys that no token here is signed by.
const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../server/corpus/jwks/set");

/// The caller's trace, and his span in it.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

struct Scene {
    folder: TempDir,
    cluster: Cluster,
}

impl Scene {
    async fn new() -> Self {
        let installation = Search::new("PATH", std::env::var_os("PATH")).find().unwrap();
        let cluster = Cluster::start(installation, ClusterOptions::temporary()).await.unwrap();
        Self { folder: tempfile::tempdir().unwrap(), cluster }
    }

    async fn migrate(&self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_partita"));
        command.args(["migrate", "up"]).env("DATABASE_URL", self.cluster.url(DATABASE));
        assert!(output(command, LIMIT).await.unwrap().status.success());
    }

    fn service(&self, settings: &[(&str, &str)], environment: &[(&str, &str)]) -> Service {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let options = ServiceOptions {
            binary: env!("CARGO_BIN_EXE_partita").into(),
            database_url: self.cluster.url(DATABASE),
            partitions_v1: true,
            settings: settings.iter().chain(&[("shutdown_notice_seconds", "0")]).map(own).collect(),
            environment: environment.iter().map(own).collect(),
            log: self.log(),
        };
        Service::new(options, Arc::new(Watchdog::spawn().unwrap())).unwrap()
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.path().join("log")
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).unwrap()
}

/// The status and the body of a page of the operations port; none while nobody listens.
fn page(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut connection = TcpStream::connect(address).ok()?;
    connection.set_read_timeout(Some(LIMIT)).unwrap();
    write!(connection, "GET {path} HTTP/1.1\r\nhost: ops\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LIMIT, "not within {} s: {what}", LIMIT.as_secs());
        tokio::time::sleep(PAUSE).await;
    }
}

fn append(id: &str) -> AppendRequest {
    AppendRequest {
        tenant_id: "acme".to_owned(),
        aggregate_type: "order".to_owned(),
        aggregate_id: id.to_owned(),
        expected_version: Some(ExpectedVersion { expected: Some(Expected::Any(Any {})) }),
        events: vec![NewEvent {
            event_type: "Placed".to_owned(),
            data: "{}".to_owned(),
            ..NewEvent::default()
        }],
        context: Some(AuditContext { user_id: "ann".to_owned(), ..AuditContext::default() }),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_waits_for_its_database_and_for_the_schema_says_so_and_then_serves() {
    let mut scene = Scene::new().await;
    scene.cluster.kill().await;
    let ops = free_address();
    let mut service = scene.service(&[("ops.listen", &ops.to_string())], &[]);
    let starting = tokio::spawn(async move {
        service.ensure(LIMIT).await.unwrap();
        service
    });
    let is_told = |words: &str| {
        page(ops, "/startupz").is_some_and(|(status, text)| status == 503 && text.contains(words))
    };
    eventually("the database is missed", || is_told("cannot reach the database")).await;
    assert_eq!(page(ops, "/livez").unwrap().0, 200);
    assert_eq!(page(ops, "/readyz").unwrap().0, 503);

    scene.cluster.restart().await.unwrap();
    eventually("the schema is missed", || is_told("partita migrate up")).await;
    scene.migrate().await;
    let mut service = starting.await.unwrap();
    for path in ["/livez", "/readyz", "/startupz"] {
        assert_eq!(page(ops, path).unwrap().0, 200, "{path}");
    }
    let log = std::fs::read_to_string(scene.log()).unwrap();
    assert_eq!(log.matches("probes and metrics").count(), 1, "it was started again:\n{log}");
    EventStoreServiceClient::new(service.channel()).append(append("1")).await.unwrap();
    assert!(service.terminate(LIMIT).await.unwrap().unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_turned_away_is_written_down_with_its_method_and_where_it_came_from() {
    let scene = Scene::new().await;
    scene.migrate().await;
    let settings = [
        ("ops.listen", "off"),
        ("log.format", "json"),
        ("auth.mode", "jwt"),
        ("auth.jwt.jwks_file", KEYS),
        ("auth.jwt.issuer", "https://id.example"),
        ("auth.jwt.audience", "partita"),
    ];
    let mut service = scene.service(&settings, &[]);
    service.ensure(LIMIT).await.unwrap();
    let mut request = Request::new(append("1"));
    request.metadata_mut().insert("authorization", "Bearer unmistakable".parse().unwrap());
    let refused = EventStoreServiceClient::new(service.channel()).append(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(service.terminate(LIMIT).await.unwrap().unwrap().success());

    let log = std::fs::read_to_string(scene.log()).unwrap();
    assert!(!log.contains("unmistakable"), "{log}");
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let audit: Vec<_> = lines.iter().filter(|line| line["target"] == "partita::audit").collect();
    assert_eq!(audit.len(), 1, "{log}");
    assert_eq!(audit[0]["client.address"], "127.0.0.1");
    assert_eq!(audit[0]["spans"][0]["rpc.method"], "partita.v1.EventStoreService/Append");
}

#[tokio::test]
async fn a_configuration_that_would_keep_the_process_from_serving_is_not_called_right() {
    let checked = async |settings: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_partita"));
        command.args(["config", "check"]).current_dir("/");
        for setting in settings {
            command.args(["--set", setting]);
        }
        let output = output(command, LIMIT).await.unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, told) = checked(&["auth.mode=jwt"]).await;
    assert!(code == 2 && told.contains("jwks_file"), "{told}");
    let (code, told) = checked(&["listen=0.0.0.0:1"]).await;
    assert!(code == 2 && told.contains("auth.allow_insecure"), "{told}");
    assert_eq!(checked(&["listen=0.0.0.0:1", "auth.allow_insecure=on"]).await.0, 0);
}

/// What a call of ours must leave with a collector: its span below the caller's, and below it those of the database.
fn assert_traced(seen: &[Seen], method: &str, below: &[&str]) {
    let all = || format!("{seen:#?}");
    let call = seen.iter().find(|span| span.name == format!("partita.v1.EventStoreService/{method}"));
    let call = call.unwrap_or_else(|| panic!("no span of {method} in {}", all()));
    assert_eq!((call.trace.as_str(), call.parent.as_str(), call.kind.as_str()), (TRACE, SPAN, "Server"));
    assert_eq!(call.service, "partita");
    for name in below {
        let inner = seen.iter().find(|span| span.name == *name && span.parent == call.id);
        let inner = inner.unwrap_or_else(|| panic!("no span {name} below that of {method} in {}", all()));
        assert_eq!((inner.trace.as_str(), inner.kind.as_str()), (TRACE, "Client"));
    }
}

/// An append and a read in the caller's trace, and a conflict; gives what the collector has when the process has ended.
async fn traced(collector: &Collector, ca_file: Option<&Path>) -> Vec<Seen> {
    let scene = Scene::new().await;
    scene.migrate().await;
    let endpoint = collector.url();
    let mut settings = vec![("ops.listen", "off"), ("telemetry.otlp_endpoint", endpoint.as_str())];
    settings.extend(ca_file.map(|path| ("telemetry.otlp_ca_file", path.to_str().unwrap())));
    // Nothing is exported before the end: what arrives was flushed.
    let mut service = scene.service(&settings, &[("OTEL_BSP_SCHEDULE_DELAY", "600000")]);
    service.ensure(LIMIT).await.unwrap();
    let mut client = EventStoreServiceClient::new(service.channel());
    let header = format!("00-{TRACE}-{SPAN}-01");
    client.append(in_trace(append("1"), &header)).await.unwrap();
    let read = ReadStreamRequest {
        tenant_id: "acme".to_owned(),
        aggregate_type: "order".to_owned(),
        aggregate_id: "1".to_owned(),
        ..ReadStreamRequest::default()
    };
    let mut answer = client.read_stream(in_trace(read, &header)).await.unwrap().into_inner();
    while answer.message().await.unwrap().is_some() {}
    let status = service.terminate(LIMIT).await.unwrap().unwrap();
    assert!(status.success(), "{}", std::fs::read_to_string(scene.log()).unwrap());
    collector.seen()
}

fn in_trace<T>(message: T, header: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("traceparent", header.parse().unwrap());
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_of_calls_and_of_the_database_belong_to_the_callers_trace_and_are_flushed_at_the_end() {
    let collector = Collector::start(None).await;
    let seen = traced(&collector, None).await;
    assert_traced(&seen, "Append", &["append"]);
    assert_traced(&seen, "ReadStream", &["find_stream", "read_page"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traces_are_exported_over_tls_to_a_collector_of_a_private_authority_and_to_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, others) = (collector::Authority::new(), collector::Authority::new());
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, ours.certificate()).unwrap();
    let genuine = Collector::start(Some(ours.issue())).await;
    assert_traced(&traced(&genuine, Some(&ca_file)).await, "Append", &["append"]);
    let impostor = Collector::start(Some(others.issue())).await;
    assert!(traced(&impostor, Some(&ca_file)).await.is_empty());
}
