-- Marks a tenant as proved equal, or takes the mark away.
-- $1 tenant id, $2 when the proof began; NULL takes the mark away
UPDATE public.event_store_tenant
SET verified_at = $2
WHERE tenant_id = $1 AND verified_at IS DISTINCT FROM $2
