-- Writes down a tenant's kept months as units of a restore; the rest as in plan_legacy.sql.
-- $1 tenant id
-- Detached months that are not dropped are copied as well; and one of which rows are in quarantine is looked at again, though it
-- may be gone: then it takes them with it.
INSERT INTO public.event_store_backfill_unit AS unit (direction, tenant_id, month_start, rows_estimated)
SELECT 'restore', $1, month.range_start, SUM(month.rows_estimated)::bigint
FROM (
    SELECT kept.range_start, GREATEST(relation.reltuples, 0) AS rows_estimated
    FROM public.event_store_kept_leaf($1) AS kept
    JOIN pg_catalog.pg_class AS relation ON relation.oid = kept.leaf
    UNION ALL
    SELECT row.month_start, 0
    FROM public.event_store_quarantine AS row
    WHERE row.direction = 'restore' AND row.tenant_id = $1
) AS month
GROUP BY month.range_start
ORDER BY month.range_start
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
