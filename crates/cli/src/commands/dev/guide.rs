use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What a newcomer is told when everything runs: lines to paste into another terminal.
pub(super) struct Guide {
    address: SocketAddr,
    database_url: String,
    psql: PathBuf,
    phase: String,
    folder: PathBuf,
}

impl Guide {
    pub(super) fn new(
        address: SocketAddr,
        database_url: String,
        psql: PathBuf,
        phase: String,
        folder: &Path,
    ) -> Self {
        Self { address, database_url, psql, phase, folder: folder.to_path_buf() }
    }

    pub(super) fn text(&self) -> String {
        let Self { address, database_url, phase, .. } = self;
        let (psql, folder) = (self.psql.display(), self.folder.display());
        let partita = called_as();
        let server =
            if address.port() == super::PORT { String::new() } else { format!(" --server http://{address}") };
        format!(
            r#"
Partita serves gRPC on {address}, phase {phase}. Data: {folder}
Try this in another terminal; Ctrl-C here stops everything, the data stays.

Append to a stream of your own, read it, read one whose history another program wrote:
  {partita} append{server} --tenant acme --type order --id 42 --expected no-stream --event OrderPlaced --data '{{"amount": 12.50}}'
  {partita} append{server} --tenant acme --type order --id 42 --expected 1 --event OrderPaid --data '{{"amount": 12.50}}'
  {partita} read{server} --tenant acme --type order --id 42
  {partita} read{server} --tenant acme --type order --id 7 --backwards --limit 5 -o json

Partitions: make and expire them, list them with their sizes:
  {partita} partitions maintain{server} --dry-run
  {partita} partitions maintain{server} --tenant acme --months-ahead 3
  {partita} partitions list{server}

The same over gRPC, with reflection:
  grpcurl -plaintext {address} list
  grpcurl -plaintext -d '{{"tenantId": "acme", "aggregateType": "order", "aggregateId": "43", "expectedVersion": {{"any": {{}}}}, "events": [{{"eventType": "OrderPlaced", "data": "{{\"amount\": 7}}"}}], "context": {{"userId": "me"}}}}' {address} partita.v1.EventStoreService/Append
  grpcurl -plaintext -d '{{"tenantId": "acme", "aggregateType": "order", "aggregateId": "43"}}' {address} partita.v1.EventStoreService/ReadStream

Both tables, and the views:
  {psql} '{database_url}' -c "SELECT tableoid::regclass, aggregate_version, event_type, event_hash FROM event_store WHERE tenant_id = 'acme' AND aggregate_id = '42' UNION ALL SELECT tableoid::regclass, aggregate_version, event_type, event_hash FROM event_store_partitioned WHERE tenant_id = 'acme' AND aggregate_id = '42' ORDER BY 2, 1"
  {psql} '{database_url}' -c "SELECT * FROM event_store_partition_metrics ORDER BY total_bytes DESC LIMIT 10" -c "SELECT * FROM event_store_partition_overview"
"#
        )
    }
}

/// How this program was called, so that the lines work when pasted: cargo says so itself.
fn called_as() -> String {
    if std::env::var_os("CARGO_MANIFEST_DIR").is_some() {
        let release = if cfg!(debug_assertions) { "" } else { " --release" };
        return format!("cargo run -q{release} --");
    }
    std::env::args().next().unwrap_or_else(|| "partita".to_owned())
}
