-- The tenants that were proved equal; behind the fence, since it went up.
SELECT tenant.tenant_id::text AS "tenant_id!"
FROM public.event_store_tenant AS tenant
CROSS JOIN public.event_store_control AS control
WHERE tenant.verified_at >= COALESCE(control.fenced_at, '-infinity')
ORDER BY tenant.tenant_id
LIMIT 1000000
