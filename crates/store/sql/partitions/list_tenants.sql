-- Every tenant that maintenance covers, by its bytes in any locale.
SELECT tenant_id AS "tenant_id!"
FROM public.event_store_known_tenants() AS known (tenant_id)
ORDER BY tenant_id COLLATE "C"
LIMIT 1000000
