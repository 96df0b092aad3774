-- Marks a tenant when nothing of it is left to copy, or takes the mark away.
-- $1 tenant id
-- One tenant a transaction: its row is what appends lock.
UPDATE public.event_store_tenant AS tenant
SET backfilled_at = CASE WHEN todo.is_left THEN NULL ELSE clock_timestamp() END
FROM (
    SELECT EXISTS (
        SELECT
        FROM public.event_store_backfill_unit AS unit
        WHERE unit.direction = 'forward'
            AND unit.tenant_id = $1
            AND (unit.state <> 'done' OR COALESCE(unit.rows_left, 1) > 0)
    ) OR EXISTS (
        SELECT
        FROM public.event_store_quarantine AS row
        WHERE row.direction = 'forward' AND row.tenant_id = $1
    ) AS is_left
) AS todo
WHERE tenant.tenant_id = $1
    AND NOT (todo.is_left AND tenant.backfilled_at IS NULL)
