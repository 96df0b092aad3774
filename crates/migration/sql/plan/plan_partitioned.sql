-- Writes down a tenant's leaves as units of a restore; the rest as in plan_legacy.sql.
-- $1 tenant id
INSERT INTO public.event_store_backfill_unit AS unit (direction, tenant_id, month_start, rows_estimated)
SELECT 'restore', $1, leaf.range_start, GREATEST(relation.reltuples, 0)::bigint
FROM public.event_store_partition_leaf($1) AS leaf
JOIN pg_catalog.pg_class AS relation ON relation.oid = leaf.leaf
WHERE leaf.range_start = public.event_store_month_start(leaf.range_start)
ORDER BY leaf.range_start
ON CONFLICT (direction, tenant_id, month_start) DO UPDATE
SET state = 'pending',
    rows_estimated = EXCLUDED.rows_estimated,
    rows_total = CASE WHEN unit.state = 'done' THEN NULL ELSE unit.rows_total END,
    rows_scanned = CASE WHEN unit.state = 'done' THEN 0 ELSE unit.rows_scanned END,
    rows_copied = CASE WHEN unit.state = 'done' THEN 0 ELSE unit.rows_copied END,
    bytes_copied = CASE WHEN unit.state = 'done' THEN 0 ELSE unit.bytes_copied END,
    started_at = CASE WHEN unit.state = 'done' THEN NULL ELSE unit.started_at END,
    pass_started_at = CASE WHEN unit.state = 'done' THEN NULL ELSE unit.pass_started_at END,
    attempts = 0,
    retry_at = '-infinity',
    planned_at = clock_timestamp()
WHERE unit.state IN ('pending', 'done', 'failed')
