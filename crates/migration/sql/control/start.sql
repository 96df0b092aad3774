-- Lets the workers begin, in a direction.
-- $1 direction, $2 who says so
UPDATE public.event_store_backfill
SET direction = $1,
    state = 'running',
    changed_at = clock_timestamp(),
    changed_by = $2,
    started_at = clock_timestamp(),
    finished_at = NULL
WHERE singleton
