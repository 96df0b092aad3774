-- Closes the differences of a tenant in months that neither table has any more.
-- $1 tenant id, $2 the months that there are
UPDATE public.event_store_mismatch
SET repaired_at = clock_timestamp()
WHERE tenant_id = $1
    AND repaired_at IS NULL
    AND month_start <> ALL ($2::timestamptz[])
