-- A page of leaves with their sizes, by the bytes of the tenant, in any locale, and by month.
-- $1 tenant id, or NULL for all
-- $2 tenant id and $3 first instant of the last leaf of the page before, or NULL for the first page
-- $4 most rows
-- Sizes are read for the page's leaves only; a leaf that is dropped meanwhile counts as 0.
WITH leaf AS MATERIALIZED (
    SELECT tenant_id, partition_name, leaf, range_start, range_end, state
    FROM public.event_store_partition_leaf($1)
    WHERE $2::text IS NULL OR (tenant_id COLLATE "C", range_start) > ($2 COLLATE "C", $3::timestamptz)
    ORDER BY tenant_id COLLATE "C", range_start
    LIMIT $4
)
SELECT
    leaf.tenant_id AS "tenant_id!",
    leaf.partition_name AS "partition_name!",
    leaf.range_start AS "range_start!",
    leaf.range_end AS "range_end!",
    leaf.state = 'pending' AS "detach_pending!",
    NULLIF(relation.reltuples, -1)::bigint AS rows_estimated,
    COALESCE(pg_table_size(leaf.leaf), 0) AS "heap_bytes!",
    COALESCE(pg_indexes_size(leaf.leaf), 0) AS "index_bytes!"
FROM leaf
LEFT JOIN pg_catalog.pg_class AS relation ON relation.oid = leaf.leaf
ORDER BY leaf.tenant_id COLLATE "C", leaf.range_start
LIMIT $4
