-- Tables beside the partitions that no registry speaks of: a tenant's detached months that nobody wrote down, and others.
-- $1 most rows
SELECT
    relation.relname::text AS "name!",
    EXISTS (
        SELECT
        FROM public.event_store_tenant AS tenant
        CROSS JOIN LATERAL public.event_store_detached_leaf(tenant.tenant_id) AS loose
        WHERE loose.partition_name = relation.relname
    ) AS "is_month!"
FROM pg_catalog.pg_class AS relation
WHERE relation.relnamespace = 'event_store_partitions'::regnamespace
    AND relation.relkind IN ('r', 'p')
    AND NOT relation.relispartition
    AND NOT EXISTS (
        SELECT
        FROM public.event_store_detached AS waiting
        WHERE waiting.partition_name = relation.relname AND waiting.dropped_at IS NULL
    )
ORDER BY relation.relname
LIMIT $1
