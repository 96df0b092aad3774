-- What a unit still has to copy back: the rows of its month from the floor on that are not in the legacy table.
-- $1 tenant id, $2 first instant of the month, $3 of the next month
SELECT COUNT(*) AS "missing!"
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
            AND legacy.event_timestamp >= $2
            AND legacy.event_timestamp < $3
            AND legacy.event_id = copy.event_id
    )
