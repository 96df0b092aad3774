-- What this login may do, of what serving needs: a row each, in the words of a GRANT.
-- Of a tenant's row, serving changes one column.
WITH needed (place, relation, privilege) AS (
    VALUES
    (1, 'public.event_store', 'SELECT'),
    (2, 'public.event_store', 'INSERT'),
    (3, 'public.event_store_partitioned', 'SELECT'),
    (4, 'public.event_store_partitioned', 'INSERT'),
    (5, 'public.event_store_tenant', 'SELECT'),
    (6, 'public.event_store_tenant', 'UPDATE (last_position)'),
    (7, 'public.event_store_stream', 'SELECT'),
    (8, 'public.event_store_stream', 'INSERT'),
    (9, 'public.event_store_stream', 'UPDATE'),
    (10, 'public.event_store_control', 'SELECT'),
    (11, 'public.event_store_instance', 'SELECT'),
    (12, 'public.event_store_instance', 'INSERT'),
    (13, 'public.event_store_instance', 'UPDATE'),
    (14, 'public.event_store_instance', 'DELETE')
)
SELECT
    needed.privilege || ' ON ' || needed.relation AS "privilege!",
    quote_ident(current_user) AS "grantee!",
    CASE needed.privilege
        WHEN 'UPDATE (last_position)' THEN has_column_privilege(needed.relation, 'last_position', 'UPDATE')
        ELSE has_table_privilege(needed.relation, needed.privilege)
    END AS "is_held!"
FROM needed
ORDER BY needed.place
LIMIT 100
