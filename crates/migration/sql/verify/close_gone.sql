-- Closes the differences of tenants that neither table has any more.
-- $1 the tenants that there are
UPDATE public.event_store_mismatch
SET repaired_at = clock_timestamp()
WHERE repaired_at IS NULL AND tenant_id <> ALL ($1::text[])
