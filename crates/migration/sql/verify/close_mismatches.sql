-- Closes the differences of a unit, or with NULL for the month those of a tenant's heads, that were not met again.
-- $1 tenant id, $2 month, $3 when this look began
UPDATE public.event_store_mismatch
SET repaired_at = clock_timestamp()
WHERE tenant_id = $1
    AND month_start IS NOT DISTINCT FROM $2
    AND repaired_at IS NULL
    AND last_seen < $3
