//! ListPartitions: pages, their tokens, their order.

use partita_proto::v1::{ListPartitionsRequest, ListPartitionsResponse, Partition};
use partita_tests::{Refusal, TestDatabase, TestServer, month, months};
use tonic::Code;

async fn page(
    server: &TestServer,
    tenant: &str,
    size: i32,
    token: &str,
) -> Result<ListPartitionsResponse, Refusal> {
    let request = ListPartitionsRequest {
        tenant_id: tenant.to_owned(),
        page_size: size,
        page_token: token.to_owned(),
        include_detached: false,
    };
    server.partitions().list_partitions(request).await.map(tonic::Response::into_inner).map_err(Refusal::from)
}

async fn all_pages(server: &TestServer, tenant: &str, size: i32) -> (Vec<Partition>, Vec<usize>) {
    let (mut partitions, mut sizes, mut token) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = page(server, tenant, size, &token).await.unwrap();
        sizes.push(page.partitions.len());
        partitions.extend(page.partitions);
        token = page.next_page_token;
        if token.is_empty() {
            return (partitions, sizes);
        }
    }
}

/// In the order of their bytes, which is not that of any language.
const TENANTS: [&str; 4] = ["A-B", "B", "a-b", "a_b"];

async fn sixteen_partitions(database: &TestDatabase) -> TestServer {
    let server = TestServer::start(database, true).await;
    for tenant in TENANTS {
        server.append(tenant, "order", "1").event("First").ok().await;
    }
    server
}

#[tokio::test]
async fn pages_add_up_to_the_whole_list_in_order() {
    let database = TestDatabase::new().await;
    let server = sixteen_partitions(&database).await;
    let whole = server.list("").await.unwrap();
    let keys: Vec<_> =
        whole.iter().map(|one| (one.tenant_id.as_str(), one.range_start.unwrap().seconds)).collect();
    let expected: Vec<_> = TENANTS
        .iter()
        .flat_map(|tenant| (-1..=2).map(move |offset| (*tenant, month(offset).start().to_unix().0)))
        .collect();
    assert_eq!(keys, expected);
    for (size, sizes) in
        [(5, vec![5, 5, 5, 1]), (1, vec![1; 16]), (8, vec![8, 8]), (0, vec![16]), (16, vec![16])]
    {
        assert_eq!(all_pages(&server, "", size).await, (whole.clone(), sizes));
    }
    let (one, sizes) = all_pages(&server, "a-b", 3).await;
    assert_eq!(sizes, [3, 1]);
    assert_eq!(one, whole[8..12]);
}

#[tokio::test]
async fn partitions_are_listed_by_the_bytes_of_the_tenant_also_where_the_database_sorts_by_language() {
    let Some(database) = TestDatabase::sorting_by_language().await else { return };
    let server = sixteen_partitions(&database).await;
    let mut tenants: Vec<_> = server.list("").await.unwrap().into_iter().map(|one| one.tenant_id).collect();
    tenants.dedup();
    assert_eq!(tenants, TENANTS);
    let reported: Vec<_> =
        server.maintain("", |_| {}).await.tenants.into_iter().map(|one| one.tenant_id).collect();
    assert_eq!(reported, TENANTS);
    assert_eq!(all_pages(&server, "", 3).await.0, server.list("").await.unwrap());
}

#[tokio::test]
async fn a_partition_is_listed_with_its_bounds_and_sizes() {
    let database = TestDatabase::new().await;
    let server = sixteen_partitions(&database).await;
    server.append("B", "order", "1").events(500).ok().await;
    database.execute("ANALYZE event_store_partitioned").await;
    let listed = server.list("B").await.unwrap();
    let current = &listed[1];
    assert_eq!(current.partition_name, format!("t2_{}", month(0).to_string().replace('-', "_")));
    assert_eq!(current.range_end.unwrap().seconds, month(1).start().to_unix().0);
    assert_eq!(current.rows_estimated, Some(501));
    assert_eq!(current.state(), partita_proto::v1::partition::State::Attached);
    for partition in &listed {
        assert_eq!(partition.total_bytes, partition.heap_bytes + partition.index_bytes);
    }
    assert!(current.heap_bytes > listed[0].heap_bytes && current.index_bytes > listed[0].index_bytes);
}

#[tokio::test]
async fn a_table_that_was_attached_without_a_bound_is_listed_first_and_in_nobodys_way() {
    let database = TestDatabase::new().await;
    let server = sixteen_partitions(&database).await;
    let (parent, archive) = ("event_store_partitions.t2", "event_store_partitions.archive");
    database
        .execute(format!(
            "CREATE TABLE {archive} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS); \
             ALTER TABLE {parent} ATTACH PARTITION {archive} FOR VALUES FROM (MINVALUE) TO ('{}')",
            month(-9).start()
        ))
        .await;
    let whole = server.list("").await.unwrap();
    assert_eq!((whole.len(), whole[4].partition_name.as_str(), whole[4].range_start), (17, "archive", None));
    assert_eq!(whole[4].range_end.unwrap().seconds, month(-9).start().to_unix().0);
    for size in [1, 5] {
        assert_eq!(all_pages(&server, "", size).await.0, whole);
    }
    let run = server.maintain("B", |request| request.months_ahead = Some(3)).await;
    assert_eq!((run.summary.tenants_failed, run.tenant("B").partitions.len()), (0, 6), "{run:?}");
}

#[tokio::test]
async fn a_token_that_was_not_handed_out_for_this_list_is_refused() {
    let database = TestDatabase::new().await;
    let server = sixteen_partitions(&database).await;
    let of_all = page(&server, "", 5, "").await.unwrap().next_page_token;
    let of_one = page(&server, "B", 2, "").await.unwrap().next_page_token;
    let bad = [("", "!"), ("", "AAAA"), ("", &of_all[1..]), ("", &of_one), ("B", &of_all), ("a-b", &of_one)];
    for (tenant, token) in bad {
        let refusal = page(&server, tenant, 5, token).await.unwrap_err();
        assert_eq!(
            (refusal.code, refusal.fields.as_slice()),
            (Code::InvalidArgument, ["page_token".to_owned()].as_slice())
        );
    }
    let refusal = page(&server, "", -1, "").await.unwrap_err();
    assert_eq!(refusal.fields, ["page_size"]);
}

#[tokio::test]
async fn a_tenant_without_partitions_is_not_found() {
    let database = TestDatabase::new().await;
    let server = sixteen_partitions(&database).await;
    let refusal = server.list("nobody").await.unwrap_err();
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::NotFound, "TENANT_NOT_FOUND"));
    assert_eq!(refusal.fact("tenant_id"), "nobody");
    assert_eq!(server.months_of("B").await, months(-1..=2));
}
