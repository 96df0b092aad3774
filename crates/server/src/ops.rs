//! What operators and probes ask: the state of this process, over HTTP and `grpc.health.v1` alike, and its metrics.

mod figures;
mod http;
mod method;
mod probes;

pub(crate) use self::figures::FiguresLayer;
pub use self::http::serve_ops;
pub(crate) use self::method::{label, sends_many};
pub use self::probes::{ProbeState, Probes};
