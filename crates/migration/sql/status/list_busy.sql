-- The units that are worked on, and those that went wrong, newest months first.
-- $1 direction, $2 most rows
SELECT
    tenant_id, month_start, state, rows_total, rows_copied, rows_per_second, throttle, lease_owner, heartbeat_at,
    attempts, last_error
FROM public.event_store_backfill_unit
WHERE direction = $1
    AND (state IN ('copying', 'failed') OR (state = 'pending' AND last_error IS NOT NULL))
ORDER BY state, month_start DESC, tenant_id
LIMIT $2
