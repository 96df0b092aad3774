use std::net::SocketAddr;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use partita_proof::within;
use partita_server::{Probes, serve_ops};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use crate::server::CALL_LIMIT;

/// The port of probes and metrics of a server in this process.
pub struct Ops {
    address: SocketAddr,
    _serving: AbortOnDropHandle<()>,
}

impl Ops {
    /// Serves on a free port.
    pub async fn start(probes: Probes) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = serve_ops(listener, probes, || recorder().render());
        let serving = tokio::spawn(async move { serving.await.unwrap() });
        Self { address, _serving: AbortOnDropHandle::new(serving) }
    }

    /// The status and the body of a page.
    pub async fn get(&self, path: &str) -> (u16, String) {
        within(CALL_LIMIT, format!("an answer to {path}"), self.fetch(path)).await.unwrap()
    }

    async fn fetch(&self, path: &str) -> (u16, String) {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: ops\r\nconnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    /// The statuses of `/livez`, `/readyz` and `/startupz`.
    pub async fn probes(&self) -> [u16; 3] {
        [self.get("/livez").await.0, self.get("/readyz").await.0, self.get("/startupz").await.0]
    }
}

/// The value of a metric of this process whose line begins like this; 0 without one. All tests of a process share it.
pub fn metric(line: &str) -> f64 {
    let page = recorder().render();
    let value = page.lines().filter(|one| !one.starts_with('#')).find_map(|one| one.strip_prefix(line));
    value.map_or(0.0, |value| value.trim().rsplit(' ').next().unwrap().parse().unwrap())
}

/// What collects the metrics of this process, from the first call on.
pub(crate) fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| PrometheusBuilder::new().install_recorder().unwrap())
}
