-- Whether a tenant was proved equal since the fence went up.
-- $1 tenant id
SELECT EXISTS (
    SELECT
    FROM public.event_store_tenant AS tenant
    CROSS JOIN public.event_store_control AS control
    WHERE tenant.tenant_id = $1
        AND tenant.verified_at >= control.fenced_at
) AS "is_verified!"
