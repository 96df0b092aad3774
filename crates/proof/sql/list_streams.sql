-- Where every stream stands by its own record.
SELECT
    tenant_id,
    aggregate_type,
    aggregate_id,
    version
FROM public.event_store_stream
ORDER BY tenant_id, aggregate_type, aggregate_id
