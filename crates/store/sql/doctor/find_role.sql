-- Who this login is, and what it may do beyond serving.
-- Maintenance: a month is made, attached and detached by the owner of the table, or by a function that acts as its owner.
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
    (
        pg_has_role(parent.relowner, 'USAGE')
        AND has_schema_privilege('event_store_partitions', 'CREATE')
    ) OR builder.prosecdef AS "may_maintain!",
    pg_has_role('pg_read_all_stats', 'USAGE') AS "sees_sessions!"
FROM pg_catalog.pg_roles AS role
CROSS JOIN pg_catalog.pg_class AS parent
CROSS JOIN pg_catalog.pg_proc AS builder
WHERE role.rolname = current_user
    AND parent.oid = 'public.event_store_partitioned'::regclass
    AND builder.oid = 'public.event_store_create_missing_months(text, integer, integer)'::regprocedure
ORDER BY role.rolname
LIMIT 1
