-- Who this login is, and what it may do beyond serving.
-- A month is made and attached by the owner of the table, or by a function that acts as its owner; no function can detach it
-- concurrently, so that takes the owner, or a member of it.
SELECT
    role.rolname::text AS "name!",
    role.rolsuper AS "is_superuser!",
    role.rolbypassrls AS "bypasses_row_security!",
    role.rolconnlimit AS "connection_limit!",
    (
        has_table_privilege('public.event_store_partitioned', 'UPDATE')
        OR has_table_privilege('public.event_store_partitioned', 'DELETE')
        OR has_table_privilege('public.event_store_partitioned', 'TRUNCATE')
    ) AS "may_change_events!",
    has_function_privilege(builder.oid, 'EXECUTE') AND (
        builder.prosecdef
        OR (
            pg_has_role(parent.relowner, 'USAGE')
            AND has_schema_privilege('event_store_partitions', 'CREATE')
        )
    ) AS "may_make!",
    pg_has_role(parent.relowner, 'USAGE') AS "may_detach!",
    pg_has_role('pg_read_all_stats', 'USAGE') AS "sees_sessions!"
FROM pg_catalog.pg_roles AS role
CROSS JOIN pg_catalog.pg_class AS parent
CROSS JOIN pg_catalog.pg_proc AS builder
WHERE role.rolname = current_user
    AND parent.oid = 'public.event_store_partitioned'::regclass
    AND builder.oid = 'public.event_store_create_missing_months(text, integer, integer)'::regprocedure
ORDER BY role.rolname
LIMIT 1
