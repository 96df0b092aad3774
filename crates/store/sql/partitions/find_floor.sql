-- A tenant's floor; no row for a tenant that is not registered, NULL for one that keeps its events for ever.
-- $1 tenant id
SELECT NULLIF(retention_floor, '-infinity') AS retention_floor
FROM public.event_store_tenant
WHERE tenant_id = $1
ORDER BY tenant_id
LIMIT 1
