-- What a plan of a tenant would hold, without writing it down: its months in the legacy table, newest first.
-- $1 tenant id
SELECT
    month.month_start AS "month_start!",
    public.event_store_estimate_legacy($1, month.month_start) AS "rows_estimated!",
    month.month_start + interval '1 month' <= COALESCE(tenant.retention_floor, '-infinity') AS "is_expired!",
    unit.state AS "state?",
    unit.rows_left
FROM public.event_store_legacy_month($1) AS month (month_start)
LEFT JOIN public.event_store_tenant AS tenant ON tenant.tenant_id = $1
LEFT JOIN public.event_store_backfill_unit AS unit
    ON unit.direction = 'forward'
    AND unit.tenant_id = $1
    AND unit.month_start = month.month_start
ORDER BY month.month_start DESC
LIMIT 120000
