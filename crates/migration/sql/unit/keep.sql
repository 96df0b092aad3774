-- Makes a lease good for longer, and changes nothing else.
-- $1 direction, $2 tenant id, $3 month, $4 lease token, $5 seconds
UPDATE public.event_store_backfill_unit
SET lease_until = clock_timestamp() + make_interval(secs => $5),
    heartbeat_at = clock_timestamp()
WHERE direction = $1 AND tenant_id = $2 AND month_start = $3 AND lease_token = $4 AND state = 'copying'
