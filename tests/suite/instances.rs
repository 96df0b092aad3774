//! The list of processes that serve a database.

use partita_tests::{PhaseChange, TestDatabase, TestServer, eventually};

/// Flag and phase of each process, those with the flag last.
async fn listed(database: &TestDatabase) -> Vec<String> {
    let query = "SELECT format('%s %s %s', flag::int, phase, version <> '' AND host <> '' AND pid > 0) \
         FROM event_store_instance ORDER BY flag, started_at";
    database.column(query).await
}

#[tokio::test]
async fn a_process_is_on_the_list_from_its_start_to_its_end() {
    let database = TestDatabase::new().await;
    assert_eq!(listed(&database).await, [""; 0]);
    let [off, on] = [TestServer::start(&database, false).await, TestServer::start(&database, true).await];
    assert_eq!(listed(&database).await, ["0 legacy t", "1 dual t"]);
    off.stop().await;
    assert_eq!(listed(&database).await, ["1 dual t"]);
    on.stop().await;
    assert_eq!(listed(&database).await, [""; 0]);
}

#[tokio::test]
async fn an_idle_process_follows_the_phase_and_says_so() {
    let database = TestDatabase::new().await;
    let servers = [TestServer::start(&database, false).await, TestServer::start(&database, true).await];
    database.change_phase(PhaseChange::RaiseFence).await;
    let follows = async || listed(&database).await == ["0 contradiction t", "1 fenced t"];
    eventually("both say that they know of the fence", follows).await;
    let beats = "SELECT count(*) FROM event_store_instance WHERE heartbeat_at > started_at";
    assert_eq!(database.scalar::<i64>(beats).await, 2);
    drop(servers);
}

#[tokio::test]
async fn a_process_that_ended_without_a_word_is_forgotten_after_a_day() {
    let database = TestDatabase::new().await;
    database
        .execute(
            "INSERT INTO event_store_instance \
             SELECT gen_random_uuid(), 'host', 1, '0.0.1', false, 'legacy', now() - age, now() - age \
             FROM unnest(ARRAY['23 hours', '25 hours']::interval[]) AS age",
        )
        .await;
    let server = TestServer::start(&database, true).await;
    assert_eq!(listed(&database).await, ["0 legacy t", "1 dual t"]);
    server.stop().await;
}
