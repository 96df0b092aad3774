-- What a worker asks after each page: what it is told to do, how many work beside it, and what others suffer.
-- $1 direction, $2 its tenant, $3 its month
-- A replica's lag is what pg_stat_replication last measured: without pg_read_all_stats it is not to be seen, and NULL.
SELECT
    orders.direction,
    orders.state,
    orders.workers,
    orders.rows_per_second,
    orders.lag_ms_max,
    orders.lock_waits_max,
    (
        SELECT COUNT(*)
        FROM public.event_store_backfill_unit AS unit
        WHERE unit.direction = $1 AND unit.state = 'copying'
    ) AS "copying!",
    (
        SELECT COUNT(*)
        FROM public.event_store_backfill_unit AS unit
        WHERE unit.direction = $1
            AND unit.state = 'copying'
            AND (unit.month_start > $3 OR (unit.month_start = $3 AND unit.tenant_id < $2))
    ) AS "before!",
    (
        SELECT (EXTRACT(EPOCH FROM MAX(replay_lag)) * 1000)::bigint
        FROM pg_catalog.pg_stat_replication
    ) AS lag_ms,
    (
        SELECT COUNT(*)
        FROM pg_catalog.pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'
    ) AS "lock_waits!"
FROM public.event_store_backfill AS orders
WHERE orders.singleton
ORDER BY orders.singleton
LIMIT 1
