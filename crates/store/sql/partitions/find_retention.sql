-- How long a tenant's events are kept; no row for a tenant that is not registered.
-- $1 tenant id
SELECT
    retention_months,
    legal_hold,
    NULLIF(retention_floor, '-infinity') AS retention_floor
FROM public.event_store_tenant
WHERE tenant_id = $1
ORDER BY tenant_id
LIMIT 1
