-- The rows of a unit that are neither copied nor in quarantine.
-- $1 tenant id, $2 first instant of the month, $3 of the next month
SELECT COUNT(*) AS "left!"
FROM public.event_store AS legacy
WHERE legacy.tenant_id = $1
    AND legacy.event_timestamp >= $2
    AND legacy.event_timestamp < $3
    AND legacy.event_timestamp >= (
        SELECT COALESCE(MAX(tenant.retention_floor), '-infinity')
        FROM public.event_store_tenant AS tenant
        WHERE tenant.tenant_id = $1
    )
    AND NOT EXISTS (
        SELECT
        FROM public.event_store_partitioned AS copy
        WHERE copy.tenant_id = $1
            AND copy.event_timestamp >= $2
            AND copy.event_timestamp < $3
            AND copy.event_id::text = legacy.event_id::text
    )
    AND NOT EXISTS (
        SELECT
        FROM public.event_store_quarantine AS row
        WHERE row.direction = 'forward'
            AND row.row_key = public.event_store_row_key(
                legacy.tenant_id::text, legacy.event_id::text, legacy.aggregate_type::text,
                legacy.aggregate_id::text, legacy.aggregate_version::text, legacy.event_timestamp::text
            )
    )
