-- What the workers of all processes are told to do.
SELECT
    direction, state, workers, rows_per_second, lag_ms_max, lock_waits_max, changed_at, changed_by, started_at,
    finished_at
FROM public.event_store_backfill
WHERE singleton
ORDER BY singleton
LIMIT 1
