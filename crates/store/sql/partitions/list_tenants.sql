-- Every tenant that maintenance covers.
SELECT tenant_id AS "tenant_id!"
FROM public.event_store_known_tenants() AS known (tenant_id)
ORDER BY tenant_id
LIMIT 1000000
