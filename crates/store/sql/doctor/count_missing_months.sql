-- What the plan of all known tenants lacks: tenants without partitions, months, detaches to finish.
-- $1 months ahead, $2 retention in months (0: for ever)
-- The current month is counted for registered tenants alone: the first write makes it for the others.
WITH step AS MATERIALIZED (
    SELECT known.tenant_id, step.action, step.range_start, step.range_end, tenant.tenant_id IS NOT NULL AS is_registered
    FROM public.event_store_known_tenants() AS known (tenant_id)
    LEFT JOIN public.event_store_tenant AS tenant ON tenant.tenant_id = known.tenant_id
    CROSS JOIN LATERAL public.event_store_partition_plan(known.tenant_id, $1, $2) AS step
)
SELECT
    (SELECT COUNT(*) FROM public.event_store_known_tenants()) AS "tenants!",
    COUNT(DISTINCT tenant_id) FILTER (WHERE action = 'create_tenant') AS "without_table!",
    COUNT(DISTINCT tenant_id) FILTER (
        WHERE action = 'create_month' AND is_registered AND range_start <= now() AND range_end > now()
    ) AS "without_current!",
    COUNT(*) FILTER (WHERE action = 'create_month' AND is_registered) AS "months!",
    COUNT(*) FILTER (WHERE action = 'finalize') AS "pending!",
    MIN(tenant_id COLLATE "C") FILTER (WHERE action = 'finalize') AS pending_tenant,
    MIN(tenant_id COLLATE "C") FILTER (WHERE action IN ('create_tenant', 'create_month')) AS first_tenant
FROM step
LIMIT 1
