-- What kind of relation the legacy table is, and how large. Asked before any migration ran: nothing of Partita's is called.
-- Row security is ours where no policy but ours is there (event_store_guard_legacy), and its owner is not subject to it.
SELECT
    relation.relkind::text AS "kind!",
    relation.relpersistence::text AS "persistence!",
    relation.relispartition AS "is_partition!",
    EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = relation.oid) AS "has_children!",
    EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = relation.oid) AS "has_parent!",
    relation.relrowsecurity AS "has_row_security!",
    relation.relrowsecurity
    AND NOT relation.relforcerowsecurity
    AND (
        SELECT COALESCE(BOOL_AND(policy.polname IN ('event_store_everybody', 'event_store_app_names_tenants')), false)
        FROM pg_catalog.pg_policy AS policy
        WHERE policy.polrelid = relation.oid
    ) AS "is_guarded!",
    relation.relkind IN ('r', 'p') AND EXISTS (
        SELECT
        FROM pg_catalog.pg_policy AS policy
        CROSS JOIN UNNEST(policy.polroles) AS bound (role)
        WHERE policy.polrelid = relation.oid
            AND NOT policy.polpermissive
            AND row_security_active(relation.oid)
            AND (bound.role = 0 OR pg_has_role(bound.role, 'USAGE'))
    ) AS "is_bound!",
    NULLIF(relation.reltuples, -1)::bigint AS rows_estimated,
    CASE WHEN relation.relkind IN ('r', 'm') THEN pg_table_size(relation.oid) ELSE 0 END AS "table_bytes!",
    CASE WHEN relation.relkind IN ('r', 'm') THEN pg_indexes_size(relation.oid) ELSE 0 END AS "index_bytes!"
FROM pg_catalog.pg_class AS relation
WHERE relation.oid = to_regclass('public.event_store')
ORDER BY relation.oid
LIMIT 1
