-- Lets the next page of a unit begin at the newest row again.
-- $1 direction, $2 tenant id, $3 month, $4 lease token
UPDATE public.event_store_backfill_unit
SET cursor_timestamp = NULL,
    cursor_type = NULL,
    cursor_id = NULL,
    cursor_version = NULL,
    cursor_event_id = NULL,
    pass = pass + 1,
    pass_started_at = clock_timestamp()
WHERE direction = $1 AND tenant_id = $2 AND month_start = $3 AND lease_token = $4 AND state = 'copying'
RETURNING pass_started_at AS "pass_started_at!"
