-- Whether this role may do all that maintenance does: PostgreSQL lets nobody but its owner attach to a table or detach
-- from it.
SELECT pg_has_role(relation.relowner, 'USAGE') AS "may!"
FROM pg_catalog.pg_class AS relation
WHERE relation.oid = 'public.event_store_partitioned'::regclass
ORDER BY relation.oid
LIMIT 1
