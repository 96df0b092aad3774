-- The table that a leaf is attached to, as long as the leaf may be dropped: asked again right before it is.
-- $1 tenant id, $2 partition name
SELECT parent.relname::text AS "parent!"
FROM public.event_store_tenant AS tenant
JOIN public.event_store_partition_leaf($1) AS leaf ON leaf.range_end <= tenant.retention_floor
JOIN pg_catalog.pg_inherits AS inherits ON inherits.inhrelid = leaf.leaf
JOIN pg_catalog.pg_class AS parent ON parent.oid = inherits.inhparent
WHERE tenant.tenant_id = $1
    AND NOT tenant.legal_hold
    AND leaf.partition_name = $2
ORDER BY parent.relname
LIMIT 1
