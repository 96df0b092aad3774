-- What the registry says of a tenant's feed; no row for a tenant that has none.
-- $1 tenant id
SELECT
    last_position,
    NULLIF(retention_floor, '-infinity') AS retention_floor,
    created_at
FROM public.event_store_tenant
WHERE tenant_id = $1
ORDER BY tenant_id
LIMIT 1
