-- Creates the months of events that bring a time of their own; says how many.
-- $1 tenant id, $2 first instants of the months, $3 months ahead
-- Months that an append would be refused for are left out: below the tenant's floor, or too far ahead.
SELECT public.event_store_create_months(
    tenant.tenant_id,
    ARRAY(
        SELECT wanted.month
        FROM UNNEST($2::timestamptz[]) AS wanted (month)
        WHERE wanted.month >= public.event_store_month_start(tenant.retention_floor)
            AND wanted.month <= public.event_store_month_start(now()) + make_interval(months => $3)
        ORDER BY wanted.month
    )
) AS "created!"
FROM public.event_store_tenant AS tenant
WHERE tenant.tenant_id = $1
