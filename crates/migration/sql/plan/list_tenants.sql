-- A page of the tenants that have events, or once had: those of the legacy table and those of the registry.
-- $1 the last tenant of the page before, NULL for the first page, $2 most rows
-- Both tables are skipped through, one probe of an index a tenant.
WITH RECURSIVE known AS (
    SELECT LEAST(
        (
            SELECT tenant_id::text
            FROM public.event_store
            WHERE tenant_id > $1 OR ($1 IS NULL AND tenant_id >= '')
            ORDER BY tenant_id
            LIMIT 1
        ),
        (
            SELECT tenant_id::text
            FROM public.event_store_tenant
            WHERE tenant_id > $1 OR ($1 IS NULL AND tenant_id >= '')
            ORDER BY tenant_id
            LIMIT 1
        )
    ) AS tenant_id
    UNION ALL
    SELECT LEAST(
        (
            SELECT event.tenant_id::text
            FROM public.event_store AS event
            WHERE event.tenant_id > known.tenant_id
            ORDER BY event.tenant_id
            LIMIT 1
        ),
        (
            SELECT registered.tenant_id::text
            FROM public.event_store_tenant AS registered
            WHERE registered.tenant_id > known.tenant_id
            ORDER BY registered.tenant_id
            LIMIT 1
        )
    )
    FROM known
    WHERE known.tenant_id IS NOT NULL
),
page AS (
    SELECT tenant_id FROM known WHERE tenant_id IS NOT NULL LIMIT $2
)
SELECT tenant_id AS "tenant_id!"
FROM page
ORDER BY tenant_id
LIMIT $2
