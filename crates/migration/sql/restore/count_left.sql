-- The rows of a unit that are neither copied back nor in quarantine.
-- $1 tenant id, $2 first instant of the month, $3 of the next month
SELECT COUNT(*) AS "left!"
FROM public.event_store_partitioned AS copy
WHERE copy.tenant_id = $1
    AND copy.event_timestamp >= $2
    AND copy.event_timestamp < $3
    AND copy.event_timestamp >= (
        SELECT COALESCE(MAX(tenant.retention_floor), '-infinity')
        FROM public.event_store_tenant AS tenant
        WHERE tenant.tenant_id = $1
    )
    AND NOT EXISTS (
        SELECT
        FROM public.event_store AS legacy
        WHERE legacy.tenant_id = $1
            AND legacy.event_id = copy.event_id
    )
    AND NOT EXISTS (
        SELECT
        FROM public.event_store_quarantine AS row
        WHERE row.direction = 'restore'
            AND row.row_key = public.event_store_row_key(
                copy.tenant_id::text, copy.event_id::text, copy.aggregate_type::text, copy.aggregate_id::text,
                copy.aggregate_version::text, copy.event_timestamp::text
            )
    )
