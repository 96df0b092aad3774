-- Takes up the newest month that nobody works on; none while there are as many workers as there may be.
-- $1 direction, $2 most units at a time, $3 who takes it, $4 seconds that the lease is good for
-- A lease ends with its time or with its session: after a kill the unit is free at once. The token is drawn anew, so that
-- whoever held the unit before writes nothing any more. A session whose start this role may not see counts as alive.
WITH session AS (
    SELECT pid, backend_start FROM pg_catalog.pg_stat_activity WHERE pid = pg_backend_pid()
),
live AS MATERIALIZED (
    SELECT unit.tenant_id, unit.month_start
    FROM public.event_store_backfill_unit AS unit
    JOIN pg_catalog.pg_stat_activity AS holder
        ON holder.pid = unit.lease_pid
        AND COALESCE(holder.backend_start, unit.lease_backend_start) = unit.lease_backend_start
    WHERE unit.direction = $1
        AND unit.state = 'copying'
        AND unit.lease_until > clock_timestamp()
),
candidate AS (
    SELECT unit.tenant_id, unit.month_start
    FROM public.event_store_backfill_unit AS unit
    WHERE unit.direction = $1
        AND unit.state IN ('pending', 'copying')
        AND unit.retry_at <= clock_timestamp()
        AND (unit.tenant_id, unit.month_start) NOT IN (SELECT live.tenant_id, live.month_start FROM live)
        AND (SELECT COUNT(*) FROM live) < $2
    ORDER BY unit.month_start DESC, unit.tenant_id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
UPDATE public.event_store_backfill_unit AS unit
SET state = 'copying',
    lease_owner = $3,
    lease_token = gen_random_uuid(),
    lease_pid = session.pid,
    lease_backend_start = session.backend_start,
    lease_until = clock_timestamp() + make_interval(secs => $4),
    heartbeat_at = clock_timestamp(),
    attempts = unit.attempts + 1,
    started_at = COALESCE(unit.started_at, clock_timestamp()),
    pass_started_at = COALESCE(unit.pass_started_at, clock_timestamp()),
    finished_at = NULL,
    throttle = NULL
FROM candidate
CROSS JOIN session
WHERE unit.direction = $1
    AND unit.tenant_id = candidate.tenant_id
    AND unit.month_start = candidate.month_start
RETURNING
    unit.tenant_id,
    unit.month_start,
    unit.lease_token AS "lease_token!",
    unit.attempts,
    unit.position_next - unit.position_last + 1 AS room,
    unit.pass_started_at AS "pass_started_at!",
    unit.cursor_timestamp,
    unit.cursor_type,
    unit.cursor_id,
    unit.cursor_version,
    unit.cursor_event_id
