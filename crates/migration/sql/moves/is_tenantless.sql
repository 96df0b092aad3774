-- Whether the legacy table has a row without a tenant: no list of tenants leads to it.
SELECT EXISTS (SELECT FROM public.event_store WHERE tenant_id IS NULL) AS "is_tenantless!"
