-- Where every tenant stands.
SELECT
    tenant_id,
    last_position,
    NULLIF(retention_floor, '-infinity') AS retention_floor
FROM public.event_store_tenant
ORDER BY tenant_id
