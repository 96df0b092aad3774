-- Locks the tenants of a batch until the transaction ends, and says where each stands.
-- $1 tenant ids
-- Positions are drawn under this lock, so commit order is position order; and whoever locks, locks in this order,
-- so two batches never wait for each other.
-- Each append leaves a dead version of its tenant's row behind, and none can be removed while anybody holds a snapshot from
-- before (a dump, a report): a look-up by equality would pass all of them, more with every append. The index keeps versions
-- in the order of their places, and a table that grows has the newest one last: so this reads from the end, up to the first
-- that it sees. (For `=` the planner would take no notice of the order, which BETWEEN makes it keep.)
SELECT
    newest.tenant_id,
    newest.last_position,
    NULLIF(newest.retention_floor, '-infinity') AS retention_floor
FROM (SELECT tenant_id FROM UNNEST($1::text[]) AS named (tenant_id) ORDER BY tenant_id) AS named
CROSS JOIN LATERAL (
    SELECT tenant.tenant_id, tenant.last_position, tenant.retention_floor
    FROM public.event_store_tenant AS tenant
    WHERE tenant.tenant_id BETWEEN named.tenant_id AND named.tenant_id
    ORDER BY tenant.tenant_id DESC
    LIMIT 1
    FOR NO KEY UPDATE
) AS newest
