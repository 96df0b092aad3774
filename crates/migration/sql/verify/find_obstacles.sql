-- What keeps a tenant from being proved equal, apart from its rows; the instant, and the floor as text: it may be infinite.
-- $1 tenant id
SELECT
    clock_timestamp() AS "now!",
    (
        SELECT COALESCE(MAX(tenant.retention_floor), '-infinity')::text
        FROM public.event_store_tenant AS tenant
        WHERE tenant.tenant_id = $1
    ) AS "floor!",
    (
        SELECT COUNT(*)
        FROM public.event_store_quarantine AS row
        WHERE row.direction = 'forward' AND row.tenant_id = $1
    ) AS "quarantined!",
    (
        SELECT COUNT(*)
        FROM public.event_store_mismatch AS mismatch
        WHERE mismatch.tenant_id = $1 AND mismatch.repaired_at IS NULL
    ) AS "mismatches!"
