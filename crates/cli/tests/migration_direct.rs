//! `partita migration … --direct`, as an operator runs it: the built binary on a PostgreSQL without a server.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by them")]

use std::process::Output;
use std::time::Duration;

use partita_cluster::{Cluster, ClusterOptions, DATABASE, Search};
use partita_proof::connect;
use partita_proof::process::output;
use serde_json::Value;
use tokio::process::Command;

/// How long a command may take, on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(120);

/// Something was refused, or found.
const REFUSED: i32 = 3;

/// Five events of one stream, as another program wrote them.
const HISTORY: &str = "INSERT INTO public.event_store (event_id, event_type, aggregate_type, aggregate_id, \
     aggregate_version, event_data, tenant_id, user_id, event_hash, event_timestamp, created_at) \
     SELECT gen_random_uuid(), 'Placed', 'order', '1', number, '{}', 'acme', 'app', 'hash-' || number, now(), now() \
     FROM generate_series(1, 5) AS number";

struct Database {
    _cluster: Cluster,
    url: String,
}

impl Database {
    async fn with_history() -> Self {
        let installation = Search::new("PATH", std::env::var_os("PATH")).find().unwrap();
        let cluster = Cluster::start(installation, ClusterOptions::temporary()).await.unwrap();
        let database = Self { url: cluster.url(DATABASE), _cluster: cluster };
        assert!(database.partita(&["migrate", "up"]).await.status.success());
        database.execute(HISTORY).await;
        database
    }

    async fn execute(&self, statement: &'static str) {
        let mut connection = connect(&self.url).await.unwrap();
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    }

    /// Runs the binary, with the flag off: what the shell says of it must not matter.
    async fn partita(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_partita"));
        command.args(args).env("DATABASE_URL", &self.url).env_remove("DB_PARTITIONS_V1");
        output(command, LIMIT).await.unwrap()
    }

    /// The exit code of `partita migration` on the database, and its document.
    async fn migration(&self, args: &[&str]) -> (i32, Value) {
        let args = [&["migration"], args, &["--direct", "--user", "ann", "-o", "json"]].concat();
        let output = self.partita(&args).await;
        let text = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        let document = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{args:?}: {text} {error}"));
        (output.status.code().unwrap(), document)
    }
}

fn codes(document: &Value) -> Vec<&str> {
    let obstacles = document["obstacles"].as_array().unwrap();
    obstacles.iter().map(|obstacle| obstacle["code"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_goes_all_the_way_and_back_without_a_server() {
    let database = Database::with_history().await;
    let (code, plan) = database.migration(&["plan"]).await;
    assert_eq!((code, &plan["months"]), (0, &Value::from(1)));
    let (code, fence) = database.migration(&["fence", "--execute"]).await;
    assert_eq!(
        (code, codes(&fence), &fence["executed"]),
        (REFUSED, vec!["NOT_BACKFILLED"], &Value::from(false))
    );

    let (code, done) = database.migration(&["backfill", "start", "--rows-per-second", "0"]).await;
    assert_eq!((code, &done["progress"]["rows_copied"]), (0, &Value::from(5)));
    assert_eq!(
        (&done["orders"]["state"], &done["orders"]["changed_by"]),
        (&"finished".into(), &"ann".into())
    );
    assert_eq!(database.migration(&["verify"]).await.0, 0);

    let (code, fence) = database.migration(&["fence"]).await;
    assert_eq!((code, &fence["executed"]), (0, &Value::from(false)), "without --execute nothing is done");
    assert_eq!(database.migration(&["status"]).await.1["phase"], "open");
    assert_eq!(database.migration(&["fence", "--execute"]).await.0, 0);
    let (code, finalize) = database.migration(&["finalize", "--execute"]).await;
    assert_eq!((code, codes(&finalize)), (REFUSED, vec!["NOT_VERIFIED"]));
    assert_eq!(database.migration(&["verify"]).await.0, 0);
    assert_eq!(database.migration(&["finalize", "--execute"]).await.0, 0);
    assert_eq!(database.migration(&["status"]).await.1["phase"], "finalized");
    let (code, restore) = database.migration(&["restore", "--execute"]).await;
    assert_eq!((code, restore["changes"].as_array().unwrap().len()), (0, 2));
    let (code, status) = database.migration(&["status"]).await;
    assert_eq!(
        (code, &status["phase"], &status["instances"]),
        (0, &"open".into(), &Value::Array(Vec::new()))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_copy_ends_verify_and_mismatches_with_3() {
    let database = Database::with_history().await;
    assert_eq!(database.migration(&["backfill", "start"]).await.0, 0);
    assert_eq!(database.migration(&["mismatches"]).await.0, 0);
    database
        .execute(
            "SET session_replication_role = replica; \
             UPDATE event_store_partitioned SET event_data = '{\"n\": 0}' WHERE aggregate_version = 2",
        )
        .await;
    let (code, run) = database.migration(&["verify"]).await;
    assert_eq!((code, &run["found"][0]["columns"]), (REFUSED, &serde_json::json!(["event_data"])));
    assert_eq!(run["unverified"], serde_json::json!(["acme"]));
    let (code, list) = database.migration(&["mismatches"]).await;
    assert_eq!((code, &list["mismatches"][0]["reason"]), (REFUSED, &"columns_differ".into()));
    let (code, repair) = database.migration(&["repair", "--execute"]).await;
    assert_eq!((code, &repair["months_to_copy"]), (REFUSED, &Value::from(0)));
    assert!(repair["steps"][0]["statements"].as_str().unwrap().contains("event_store_partitioned"));
}
