-- Locks the tenants of a batch until the transaction ends, and says where each stands.
-- $1 tenant ids
-- Positions are drawn under this lock, so commit order is position order; and whoever locks, locks in this order,
-- so two batches never wait for each other.
SELECT
    tenant_id,
    last_position,
    NULLIF(retention_floor, '-infinity') AS retention_floor
FROM public.event_store_tenant
WHERE tenant_id = ANY ($1)
ORDER BY tenant_id
FOR NO KEY UPDATE
