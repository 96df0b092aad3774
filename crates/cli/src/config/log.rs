use std::path::PathBuf;

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LogConfig {
    /// The form of a line.
    pub(crate) format: LogFormat,
    /// Directives of tracing's `EnvFilter`, such as `info,partita_store=debug`.
    pub(crate) filter: String,
}

/// Where traces go.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TraceConfig {
    /// The collector's address for OTLP over gRPC; none: nowhere.
    pub(crate) otlp_endpoint: Option<String>,
    /// The authorities of the collector's certificate, as PEM; none: those of this machine.
    pub(crate) otlp_ca_file: Option<PathBuf>,
    /// The part of traces that is exported, of those that begin here, 0 to 1.
    pub(crate) sample_ratio: f64,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}
