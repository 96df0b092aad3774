-- Why:   what the partitions weigh, for people: SELECT * FROM event_store_partition_metrics ORDER BY total_bytes DESC LIMIT 10.
-- Lock:  none. Reading a size opens one leaf at a time with ACCESS SHARE for the moment of its measuring.
-- Time:  milliseconds; a read of all sizes costs about 0.2 ms a leaf (measured at 10,000 leaves: 2 s).
-- Phase: before dual.

-- Estimates, not counts: nothing here reads a row. A leaf that is dropped meanwhile has sizes NULL, never an error.
-- The size functions are volatile, so that the subquery stays one and each size is read once.
CREATE VIEW public.event_store_partition_metrics AS
SELECT
    sized.partition_name,
    sized.tenant_id,
    sized.range_start,
    sized.range_end,
    sized.state,
    sized.rows_estimated,
    sized.heap_bytes,
    sized.index_bytes,
    sized.heap_bytes + sized.index_bytes AS total_bytes,
    pg_size_pretty(sized.heap_bytes + sized.index_bytes) AS total_size,
    pg_size_pretty(sized.heap_bytes) AS heap_size,
    pg_size_pretty(sized.index_bytes) AS index_size
FROM (
    SELECT
        leaf.partition_name,
        leaf.tenant_id,
        leaf.range_start,
        leaf.range_end,
        leaf.state,
        nullif(relation.reltuples, -1)::bigint AS rows_estimated,
        pg_table_size(leaf.leaf) AS heap_bytes,
        pg_indexes_size(leaf.leaf) AS index_bytes
    FROM public.event_store_partition_leaf() AS leaf
    LEFT JOIN pg_catalog.pg_class AS relation ON relation.oid = leaf.leaf
) AS sized;

COMMENT ON VIEW public.event_store_partition_metrics IS 'one row a leaf of event_store_partitioned: bounds, state, estimated rows, sizes';
COMMENT ON COLUMN public.event_store_partition_metrics.range_start IS 'inclusive';
COMMENT ON COLUMN public.event_store_partition_metrics.range_end IS 'exclusive';
COMMENT ON COLUMN public.event_store_partition_metrics.state IS 'attached, or pending: a detach was begun and not finished';
COMMENT ON COLUMN public.event_store_partition_metrics.rows_estimated IS 'as of the last ANALYZE or VACUUM; NULL before the first';
COMMENT ON COLUMN public.event_store_partition_metrics.heap_bytes IS 'the table with its TOAST and maps';

-- Always one row. "Empty" is a leaf whose main fork has no page: nothing was ever kept in it.
CREATE VIEW public.event_store_partition_overview AS
WITH measured AS (
    SELECT
        count(DISTINCT metrics.tenant_id) AS tenants,
        count(*) AS partitions,
        sum(metrics.rows_estimated)::bigint AS rows_estimated,
        coalesce(sum(metrics.total_bytes), 0)::bigint AS total_bytes,
        min(metrics.total_bytes) AS min_bytes,
        percentile_disc(0.5) WITHIN GROUP (ORDER BY metrics.total_bytes) AS median_bytes,
        percentile_disc(0.95) WITHIN GROUP (ORDER BY metrics.total_bytes) AS p95_bytes,
        max(metrics.total_bytes) AS max_bytes,
        min(metrics.range_start) AS oldest_month,
        max(metrics.range_start) AS newest_month
    FROM public.event_store_partition_metrics AS metrics
),
never_filled AS (
    SELECT count(*) AS partitions
    FROM public.event_store_partition_leaf() AS leaf
    WHERE pg_relation_size(leaf.leaf, 'main') = 0
)
SELECT
    measured.tenants,
    measured.partitions,
    never_filled.partitions AS empty_partitions,
    measured.rows_estimated,
    measured.total_bytes,
    measured.min_bytes,
    measured.median_bytes,
    measured.p95_bytes,
    measured.max_bytes,
    pg_size_pretty(measured.total_bytes) AS total_size,
    pg_size_pretty(measured.min_bytes) AS min_size,
    pg_size_pretty(measured.median_bytes) AS median_size,
    pg_size_pretty(measured.p95_bytes) AS p95_size,
    pg_size_pretty(measured.max_bytes) AS max_size,
    measured.oldest_month,
    measured.newest_month
FROM measured
CROSS JOIN never_filled;

COMMENT ON VIEW public.event_store_partition_overview IS
    'one row: how many tenants and leaves, and how their sizes are spread; sizes NULL (total 0) where there is no leaf';
COMMENT ON COLUMN public.event_store_partition_overview.rows_estimated IS 'sum over the leaves analysed so far; NULL before the first';
COMMENT ON COLUMN public.event_store_partition_overview.oldest_month IS 'first instant of the oldest leaf''s month, UTC';
COMMENT ON COLUMN public.event_store_partition_overview.newest_month IS 'first instant of the newest leaf''s month, UTC';
