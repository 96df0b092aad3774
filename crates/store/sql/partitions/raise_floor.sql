-- Raises a tenant's floor, in a transaction of its own, before anything below it goes. It never sinks.
-- $1 tenant id, $2 the new floor
UPDATE public.event_store_tenant
SET retention_floor = $2
WHERE tenant_id = $1
    AND retention_floor < $2
    AND NOT legal_hold
