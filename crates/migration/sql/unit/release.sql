-- Lets go of a unit that is not finished; the next worker goes on where its last page ended.
-- $1 direction, $2 tenant id, $3 month, $4 lease token, $5 what went wrong, NULL for nothing, $6 seconds to wait before the
-- next attempt, $7 attempts in a row after which it has failed
UPDATE public.event_store_backfill_unit
SET state = CASE WHEN $5::text IS NOT NULL AND attempts >= $7 THEN 'failed' ELSE 'pending' END,
    attempts = CASE WHEN $5::text IS NULL THEN 0 ELSE attempts END,
    last_error = COALESCE($5, last_error),
    retry_at = clock_timestamp() + make_interval(secs => $6),
    rows_per_second = NULL,
    throttle = NULL,
    lease_owner = NULL,
    lease_token = NULL,
    lease_pid = NULL,
    lease_backend_start = NULL,
    lease_until = NULL
WHERE direction = $1 AND tenant_id = $2 AND month_start = $3 AND lease_token = $4 AND state = 'copying'
