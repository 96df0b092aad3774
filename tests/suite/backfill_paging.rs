//! Reading in small pages while everything moves beneath.

use std::collections::BTreeMap;

use partita_migration::RunState;
use partita_tests::{History, TestDatabase, TestServer, UNTHROTTLED, any, eventually};
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_events_are_paged_once_and_in_order_while_backfill_appends_and_retention_go_on() {
    let database = TestDatabase::new().await;
    // Half a year, until an hour ago.
    let from: String =
        database.scalar("SELECT (now() - 10000 * interval '26 minutes' - interval '1 hour')::text").await;
    let history = History { tenant: "acme", streams: 1, versions: 10_000, from: &from, step: "26 minutes" };
    database.write_history(history).await;
    let server = TestServer::start_keeping_all(&database).await;
    let migration = database.migration();
    migration.start(UNTHROTTLED, "test").await.unwrap();
    let workers = database.workers(50);
    let copying = tokio::spawn(async move { workers.run(&CancellationToken::new()).await });

    let mut seen: BTreeMap<i32, String> = BTreeMap::new();
    let mut next = 1;
    let (mut pages, mut appended) = (0, 0);
    loop {
        let page = server.read("acme", "order", "1").from_version(next).max_count(17).ok().await.events;
        let Some(last) = page.last() else { break };
        assert!(page.windows(2).all(|pair| pair[0].version < pair[1].version));
        assert!(page[0].version >= next);
        next = last.version + 1;
        for event in page {
            assert_eq!(seen.insert(event.version, event.event_id), None, "seen twice");
        }
        pages += 1;
        if pages % 16 == 0 && appended < 20 {
            server.append("acme", "order", "1").expected(any()).event("Live").ok().await;
            appended += 1;
        }
        if pages % 120 == 0 {
            let keep = 5 - pages / 120;
            server.maintain("acme", |request| request.retention_months = Some(keep.max(1))).await;
        }
    }
    eventually("nothing is left", async || migration.orders().await.unwrap().state == RunState::Finished)
        .await;
    copying.abort();

    let live: Vec<(i32, String)> = sqlx::query_as(
        "SELECT aggregate_version, event_id::text FROM event_store \
         WHERE event_timestamp >= (SELECT retention_floor FROM event_store_tenant) ORDER BY aggregate_version",
    )
    .fetch_all(database.pool())
    .await
    .unwrap();
    assert!(live.len() > 1_000 && live.len() < 10_000 + appended, "retention did nothing: {}", live.len());
    for (version, event_id) in live {
        assert_eq!(seen.get(&version), Some(&event_id), "version {version}");
    }
    assert!(database.verify_tables().await.summary.is_green());
}
