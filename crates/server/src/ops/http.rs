use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::Probes;

/// The text format of Prometheus, as its scrapers ask for it.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the port answers from.
#[derive(Clone)]
struct Ops {
    probes: Probes,
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// Serves `/livez`, `/readyz`, `/startupz` and `/metrics` on a port of their own, without TLS, until the future is
/// dropped. A probe is answered 200 or 503, and by a line that says why.
///
/// `/livez` answers for as long as this process can answer at all, and asks nobody: a database that is gone must not
/// make Kubernetes restart its clients. `metrics` prints all metrics.
///
/// # Errors
/// When the port is lost.
pub async fn serve_ops(
    listener: TcpListener,
    probes: Probes,
    metrics: impl Fn() -> String + Send + Sync + 'static,
) -> io::Result<()> {
    let routes = Router::new()
        .route("/livez", get(async || probe(true, "ok")))
        .route("/readyz", get(ready))
        .route("/startupz", get(started))
        .route("/metrics", get(print_metrics))
        .with_state(Ops { probes, metrics: Arc::new(metrics) });
    axum::serve(listener, routes).await
}

async fn ready(State(ops): State<Ops>) -> Response {
    let state = ops.probes.get();
    probe(state.is_ready(), state.text())
}

async fn started(State(ops): State<Ops>) -> Response {
    let state = ops.probes.get();
    // One that is started may be unready for a reason that is no concern of this probe.
    probe(state.is_started(), if state.is_started() { "ok" } else { state.text() })
}

async fn print_metrics(State(ops): State<Ops>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], (ops.metrics)()).into_response()
}

fn probe(holds: bool, text: &str) -> Response {
    let status = if holds { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("{text}\n")).into_response()
}
