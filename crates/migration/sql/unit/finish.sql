-- Ends the work on a unit: nothing is left to copy, or no more than another program wrote meanwhile.
-- $1 direction, $2 tenant id, $3 month, $4 lease token, $5 rows left
-- Rows that are in quarantine since before this pass were not met by it: they were mended, or are gone.
WITH finished AS (
    UPDATE public.event_store_backfill_unit
    SET state = 'done',
        rows_left = $5,
        rows_total = COALESCE(rows_total, 0),
        rows_per_second = NULL,
        throttle = NULL,
        last_error = NULL,
        attempts = 0,
        lease_owner = NULL,
        lease_token = NULL,
        lease_pid = NULL,
        lease_backend_start = NULL,
        lease_until = NULL,
        cursor_timestamp = NULL,
        cursor_type = NULL,
        cursor_id = NULL,
        cursor_version = NULL,
        cursor_event_id = NULL,
        finished_at = clock_timestamp()
    WHERE direction = $1 AND tenant_id = $2 AND month_start = $3 AND lease_token = $4 AND state = 'copying'
    RETURNING direction, tenant_id, month_start, pass_started_at
),
mended AS (
    DELETE FROM public.event_store_quarantine AS row
    USING finished
    WHERE row.direction = finished.direction
        AND row.tenant_id = finished.tenant_id
        AND row.month_start = finished.month_start
        AND row.last_seen < finished.pass_started_at
)
SELECT true AS "held!"
FROM finished
ORDER BY finished.tenant_id
LIMIT 1
