/// What is logged, and how.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LogConfig {
    /// The form of a line.
    pub(crate) format: LogFormat,
    /// Directives of tracing's `EnvFilter`, such as `info,partita_store=debug`.
    pub(crate) filter: String,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}
