//! Tenants side by side: whatever they are called, nothing collides, leaks or is taken for SQL.

use partita_tests::{TestDatabase, TestServer, months, no_stream};

/// Names that differ in little, and names that mean something to SQL.
fn names() -> Vec<String> {
    let mut names: Vec<String> = [
        "a-b",
        "a_b",
        "A-B",
        "a b",
        "a%",
        "a",
        "o'neil \"x\"; DROP TABLE event_store; --",
        "''",
        "back\\slash",
        "\\",
        "$1",
        "$$",
        "NULL",
        "null",
        "t1",
        " ",
        "\u{1f3ba}",
        "e\u{301}",
        "\u{e9}",
        "FOR VALUES IN ('a')",
        "a', 'b",
        "(",
        "\n",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push("\u{1f3ba}".repeat(255));
    names.push(format!("{}\u{e9}", "\u{1f3ba}".repeat(254)));
    names
}

#[tokio::test]
async fn tenants_with_the_same_aggregate_do_not_see_each_other() {
    for partitions in [true, false] {
        let database = TestDatabase::new().await;
        let server = TestServer::start(&database, partitions).await;
        let names = names();
        let mut recorded = Vec::new();
        for (index, tenant) in names.iter().enumerate() {
            let call = server.append(tenant, "order", "1").expected(no_stream());
            let answer = call.events(1 + index % 3).ok().await;
            if partitions {
                assert_eq!(answer.events[0].position, Some(1), "{tenant}");
            }
            recorded.push(answer.events.into_iter().map(|event| event.event_id).collect::<Vec<_>>());
        }
        for (tenant, ids) in names.iter().zip(&recorded) {
            let events = server.read(tenant, "order", "1").ok().await.events;
            let read: Vec<_> = events.into_iter().map(|event| event.event_id).collect();
            assert_eq!(read, *ids, "{tenant}");
        }
        if partitions {
            assert_eq!(database.differing_rows().await, 0);
        }
    }
}

#[tokio::test]
async fn each_tenant_has_partitions_of_its_own_whose_names_say_nothing_of_it() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let names = names();
    for tenant in &names {
        server.append(tenant, "order", "1").event("First").ok().await;
        assert_eq!(server.months_of(tenant).await, months(-1..=2), "{tenant}");
    }
    let tables: i64 = database
        .scalar(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'public.event_store_partitioned'::regclass",
        )
        .await;
    assert_eq!(tables, i64::try_from(names.len()).unwrap());
    let telling: Vec<String> = database
        .column(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'event_store_partitions'::regnamespace \
             AND relkind IN ('r', 'p') AND relname !~ '^t[0-9]+(_[0-9]{4}_[0-9]{2})?$'",
        )
        .await;
    assert_eq!(telling, [""; 0]);

    // Every row lies below the table whose comment, and whose line in the registry, names its tenant.
    let strays: i64 = database
        .scalar(
            "SELECT count(*) FROM event_store_partitioned AS event \
             JOIN pg_inherits AS leaf ON leaf.inhrelid = event.tableoid \
             JOIN pg_class AS tenant_table ON tenant_table.oid = leaf.inhparent \
             LEFT JOIN event_store_tenant AS registered ON registered.partition_name = tenant_table.relname \
             WHERE registered.tenant_id IS DISTINCT FROM event.tenant_id \
             OR obj_description(tenant_table.oid, 'pg_class') IS DISTINCT FROM event.tenant_id",
        )
        .await;
    assert_eq!(strays, 0);
    let listed = server.list("").await.unwrap();
    assert_eq!(listed.len(), 4 * names.len());
    assert!(listed.iter().all(|partition| names.contains(&partition.tenant_id)));
}

#[tokio::test]
async fn a_read_of_one_tenant_never_finds_the_stream_of_another() {
    for partitions in [true, false] {
        let database = TestDatabase::new().await;
        let server = TestServer::start(&database, partitions).await;
        server.append("acme", "order", "1").event("Secret").ok().await;
        for stranger in ["Acme", "acme ", "acm", "acme%", "%", "other"] {
            let refusal = server.read(stranger, "order", "1").refused().await;
            assert_eq!(refusal.reason, "STREAM_NOT_FOUND", "{stranger}");
        }
    }
}

#[tokio::test]
async fn streams_whose_names_read_the_same_when_joined_are_two() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let streams = [("a/b", "c"), ("a", "b/c"), ("A", "b/c"), ("a", "b/c ")];
    for (kind, id) in streams {
        server.append("acme", kind, id).expected(no_stream()).event(id).ok().await;
    }
    for (kind, id) in streams {
        let events = server.read("acme", kind, id).ok().await.events;
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].aggregate_type.as_str(), events[0].event_type.as_str()), (kind, id));
    }
}
