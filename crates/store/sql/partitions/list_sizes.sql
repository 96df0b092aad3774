-- A page of leaves with their sizes, by the bytes of the tenant, in any locale, by month, and by the bytes of the name.
-- $1 tenant id, or NULL for all
-- $2 tenant id, $3 first instant and $4 name of the last leaf of the page before, or NULL for the first page
-- $5 most rows, $6 whether detached months are wanted that wait to be restored or dropped
-- Sizes are read for the page's leaves only; a leaf that is dropped meanwhile counts as 0. One that was attached by hand may
-- have no bounds: it comes first.
WITH leaf AS MATERIALIZED (
    SELECT known.tenant_id, known.partition_name, known.leaf, known.range_start, known.range_end, known.state, known.drop_after
    FROM (
        SELECT tenant_id, partition_name, leaf, range_start, range_end, state, NULL::timestamptz AS drop_after
        FROM public.event_store_partition_leaf($1)
        UNION ALL
        SELECT
            tenant_id, partition_name, to_regclass(format('event_store_partitions.%I', partition_name))::oid,
            range_start, range_end, 'detached', drop_after
        FROM public.event_store_detached
        WHERE $6
            AND dropped_at IS NULL
            AND ($1::text IS NULL OR tenant_id = $1)
    ) AS known
    WHERE $2::text IS NULL
        OR (known.tenant_id COLLATE "C", COALESCE(known.range_start, '-infinity'), known.partition_name COLLATE "C")
            > ($2 COLLATE "C", COALESCE($3::timestamptz, '-infinity'), $4::text COLLATE "C")
    ORDER BY known.tenant_id COLLATE "C", known.range_start NULLS FIRST, known.partition_name COLLATE "C"
    LIMIT $5
)
SELECT
    leaf.tenant_id AS "tenant_id!",
    leaf.partition_name AS "partition_name!",
    leaf.range_start,
    leaf.range_end,
    leaf.state AS "state!",
    leaf.drop_after,
    NULLIF(relation.reltuples, -1)::bigint AS rows_estimated,
    COALESCE(pg_table_size(leaf.leaf), 0) AS "heap_bytes!",
    COALESCE(pg_indexes_size(leaf.leaf), 0) AS "index_bytes!"
FROM leaf
LEFT JOIN pg_catalog.pg_class AS relation ON relation.oid = leaf.leaf
ORDER BY leaf.tenant_id COLLATE "C", leaf.range_start NULLS FIRST, leaf.partition_name COLLATE "C"
LIMIT $5
