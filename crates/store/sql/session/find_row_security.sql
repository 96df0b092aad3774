-- What row security has to do with this login.
-- It may bind whoever does not own all of the tables, whether or not it is on now: it is turned on while processes serve.
SELECT
    role.rolname::text AS "login!",
    NOT role.rolsuper AND NOT role.rolbypassrls AND guarded.is_foreign AS "may_bind!",
    guarded.is_bound AS "binds!",
    public.event_store_row_security_binds('public.event_store') AS "binds_legacy!",
    guarded.free AS "free!"
FROM pg_catalog.pg_roles AS role
CROSS JOIN (
    SELECT
        BOOL_OR(NOT pg_has_role(relation.relowner, 'USAGE')) AS is_foreign,
        BOOL_OR(public.event_store_row_security_binds(relation.oid::regclass)) AS is_bound,
        COALESCE(
            STRING_AGG(relation.relname::text, ', ' ORDER BY relation.relname)
                FILTER (WHERE NOT public.event_store_row_security_binds(relation.oid::regclass)),
            ''
        ) AS free
    FROM pg_catalog.pg_class AS relation
    WHERE relation.oid IN (
        'public.event_store'::regclass, 'public.event_store_partitioned'::regclass,
        'public.event_store_stream'::regclass, 'public.event_store_tenant'::regclass
    )
) AS guarded
WHERE role.rolname = current_user
ORDER BY role.rolname
LIMIT 1
