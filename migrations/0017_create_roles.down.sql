-- Why:   takes back what the roles were granted in this database. The roles stay: other databases of the cluster may use
--        them, and their members would be forgotten. Unused, they are harmless: DROP ROLE by hand.
-- Lock:  those of REVOKE and ALTER FUNCTION: rows of catalogues.
-- Time:  milliseconds.
-- Phase: legacy; a process that logs in as a member of a role is refused from here on.
DO $migration$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT role.rolname, object.kind, object.name
        FROM pg_roles AS role
        CROSS JOIN (
            SELECT 'TABLE' AS kind, relation.oid::regclass::text AS name
            FROM pg_class AS relation
            WHERE relation.relnamespace = 'public'::regnamespace
                AND relation.relkind IN ('r', 'p', 'v')
                AND relation.relname ~ '^event_store'
            UNION ALL
            SELECT 'FUNCTION', function.oid::regprocedure::text
            FROM pg_proc AS function
            WHERE function.pronamespace = 'public'::regnamespace AND function.proname ~ 'event_store'
            UNION ALL
            SELECT 'SCHEMA', 'public'
        ) AS object
        WHERE role.rolname IN ('event_store_app', 'event_store_maintenance', 'event_store_reader')
    LOOP
        BEGIN
            EXECUTE format('REVOKE ALL ON %s %s FROM %I', granted.kind, granted.name, granted.rolname);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE '% % is left granted to %: its owner granted it', granted.kind, granted.name, granted.rolname;
        END;
    END LOOP;
END
$migration$;

DROP FUNCTION public.event_store_grant_roles();
DROP FUNCTION public.event_store_grant(text, text, text);
DROP FUNCTION public.event_store_raise_floor(text, timestamptz);
DROP FUNCTION public.event_store_begin_floor(text, timestamptz);

ALTER FUNCTION public.event_store_admit_tenant(text, integer) SECURITY INVOKER;
ALTER FUNCTION public.event_store_create_missing_months(text, integer, integer) SECURITY INVOKER;
ALTER FUNCTION public.event_store_create_months(text, timestamptz[]) SECURITY INVOKER;
ALTER FUNCTION public.event_store_create_month(text, timestamptz) SECURITY INVOKER;
ALTER FUNCTION public.ensure_event_store_partition(text, integer, integer) SECURITY INVOKER;
ALTER FUNCTION public.ensure_event_store_partitions_for_all(integer, integer) SECURITY INVOKER;
ALTER FUNCTION public.event_store_finalize_detach(text) SECURITY INVOKER;
ALTER FUNCTION public.event_store_register_detached(text, integer) SECURITY INVOKER;
ALTER FUNCTION public.event_store_drop_detached(text, text) SECURITY INVOKER;
ALTER FUNCTION public.event_store_restore_month(text, timestamptz, text, text) SECURITY INVOKER;
ALTER FUNCTION public.event_store_set_retention(text, integer, text, text) SECURITY INVOKER;
ALTER FUNCTION public.event_store_set_legal_hold(text, boolean, text, text) SECURITY INVOKER;
ALTER FUNCTION public.event_store_purge_legacy(text, timestamptz, uuid, integer, boolean, boolean, boolean, bigint, text, text)
    SECURITY INVOKER;

GRANT EXECUTE ON FUNCTION
    public.event_store_admit_tenant(text, integer),
    public.event_store_create_missing_months(text, integer, integer),
    public.event_store_create_months(text, timestamptz[]),
    public.event_store_create_month(text, timestamptz),
    public.ensure_event_store_partition(text, integer, integer),
    public.ensure_event_store_partitions_for_all(integer, integer),
    public.event_store_finalize_detach(text),
    public.event_store_register_detached(text, integer),
    public.event_store_drop_detached(text, text),
    public.event_store_restore_month(text, timestamptz, text, text),
    public.event_store_set_retention(text, integer, text, text),
    public.event_store_set_legal_hold(text, boolean, text, text),
    public.event_store_purge_legacy(text, timestamptz, uuid, integer, boolean, boolean, boolean, bigint, text, text)
TO PUBLIC;
