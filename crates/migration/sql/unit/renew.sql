-- Makes a lease good for longer, and notes how many rows there are to copy.
-- $1 direction, $2 tenant id, $3 month, $4 lease token, $5 seconds, $6 rows to copy, NULL leaves the number as it is,
-- $7 what throttles the worker
UPDATE public.event_store_backfill_unit
SET lease_until = clock_timestamp() + make_interval(secs => $5),
    heartbeat_at = clock_timestamp(),
    rows_total = COALESCE(rows_copied + $6, rows_total),
    throttle = $7
WHERE direction = $1 AND tenant_id = $2 AND month_start = $3 AND lease_token = $4 AND state = 'copying'
RETURNING true AS "held!"
