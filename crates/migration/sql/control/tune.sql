-- Changes the limits that the workers keep to; they notice after their page.
-- $1 workers, NULL leaves them; each of the others comes with whether it is to be changed, for NULL means no limit:
-- $2 and $3 rows a second, $4 and $5 most milliseconds of lag, $6 and $7 most sessions that wait for locks; $8 who says so
UPDATE public.event_store_backfill
SET workers = COALESCE($1, workers),
    rows_per_second = CASE WHEN $2 THEN $3 ELSE rows_per_second END,
    lag_ms_max = CASE WHEN $4 THEN $5 ELSE lag_ms_max END,
    lock_waits_max = CASE WHEN $6 THEN $7 ELSE lock_waits_max END,
    changed_at = clock_timestamp(),
    changed_by = $8
WHERE singleton
