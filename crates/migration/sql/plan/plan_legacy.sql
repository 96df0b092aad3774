-- Writes down a tenant's months in the legacy table as units. One that is done is looked at again; one that was begun goes on
-- where it was; one that is being worked on is left alone.
-- $1 tenant id
INSERT INTO public.event_store_backfill_unit AS unit (direction, tenant_id, month_start, rows_estimated)
SELECT 'forward', $1, month.month_start, public.event_store_estimate_legacy($1, month.month_start)
FROM public.event_store_legacy_month($1) AS month (month_start)
ORDER BY month.month_start
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
