//! Logs, traces and metrics of the long-running commands. Logs go to standard error, so that standard output stays the
//! command's own.

mod metrics;
mod traces;

use std::io::IsTerminal as _;
use std::time::Duration;

use ::metrics_exporter_prometheus::PrometheusHandle;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use crate::config::{LogConfig, LogFormat, TraceConfig};
use crate::failure::Failure;

/// How long a stop waits for traces that are not exported yet.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// The telemetry of this process.
pub(crate) struct Telemetry {
    metrics: PrometheusHandle,
    traces: Option<SdkTracerProvider>,
}

/// Starts logs, metrics and, where they are configured, traces. Needs a runtime.
///
/// # Errors
/// When a filter or an address cannot be parsed (the configuration has checked them before), or telemetry runs already.
pub(crate) fn start(log: &LogConfig, trace: &TraceConfig) -> Result<Telemetry, Failure> {
    let filter = EnvFilter::try_new(&log.filter);
    let filter = filter.map_err(|error| Failure::usage("log.filter is no filter").because(error))?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match log.format {
        LogFormat::Pretty => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    let traces = traces::provider(trace)?;
    let spans = traces.as_ref().map(traces::layer);
    let started = tracing_subscriber::registry().with(lines).with(spans).with(filter).try_init();
    started.map_err(|error| Failure::internal("cannot start the log").because(error))?;
    Ok(Telemetry { metrics: metrics::start()?, traces })
}

impl Telemetry {
    /// Prints all metrics.
    pub(crate) fn metrics(&self) -> impl Fn() -> String + Send + Sync + use<> {
        let metrics = self.metrics.clone();
        move || metrics.render()
    }

    /// Exports what is left. What cannot be exported in time is lost, and logged.
    pub(crate) async fn flush(self) {
        let Some(traces) = self.traces else { return };
        let flushed = tokio::task::spawn_blocking(move || traces.shutdown_with_timeout(FLUSH_TIMEOUT)).await;
        if let Ok(Err(error)) = flushed {
            tracing::warn!(%error, "traces could not be exported");
        }
    }
}
