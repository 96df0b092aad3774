-- What kind of relation the legacy table is, and how large. Asked before any migration ran: nothing of Partita's is named.
SELECT
    relation.relkind::text AS "kind!",
    relation.relpersistence::text AS "persistence!",
    relation.relispartition AS "is_partition!",
    EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = relation.oid) AS "has_children!",
    EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = relation.oid) AS "has_parent!",
    relation.relrowsecurity AS "has_row_security!",
    NULLIF(relation.reltuples, -1)::bigint AS rows_estimated,
    CASE WHEN relation.relkind IN ('r', 'm') THEN pg_table_size(relation.oid) ELSE 0 END AS "table_bytes!",
    CASE WHEN relation.relkind IN ('r', 'm') THEN pg_indexes_size(relation.oid) ELSE 0 END AS "index_bytes!"
FROM pg_catalog.pg_class AS relation
WHERE relation.oid = to_regclass('public.event_store')
ORDER BY relation.oid
LIMIT 1
