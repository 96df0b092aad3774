-- Why:   least privilege. A process that serves appends and reads need not own what it serves: it can neither change an
--        event, nor touch a partition, nor run DDL. Group roles without login; logins are made members by the operator.
-- Lock:  those of GRANT and ALTER FUNCTION: rows of catalogues, which reads and writes do not meet.
-- Time:  milliseconds.
-- Phase: any; nothing that worked before stops working for the owner.

-- Roles belong to the whole cluster: another database of it may have made them already, or be making them right now.
DO $migration$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['event_store_app', 'event_store_maintenance', 'event_store_reader'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        EXCEPTION
        WHEN duplicate_object OR unique_violation THEN
            NULL;
        WHEN insufficient_privilege THEN
            RAISE NOTICE 'role % is not created: % may not create roles', wanted, current_user
                USING HINT = 'have it created, then SELECT event_store_grant_roles()';
        END;
    END LOOP;
END
$migration$;

-- A floor that is raised takes events from every reader, so raising it is the owner's, by two doors. The app's: a tenant's
-- first one, before it has events. Partitions are made on a first write, and the first event must obey the floor already.
CREATE FUNCTION public.event_store_begin_floor(p_tenant_id text, p_floor timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
    UPDATE event_store_tenant AS tenant
    SET retention_floor = p_floor
    WHERE tenant.tenant_id = p_tenant_id
        AND tenant.last_position = 0
        AND tenant.history_position = 0
        AND tenant.retention_floor < p_floor
        AND NOT tenant.legal_hold
$$;

COMMENT ON FUNCTION public.event_store_begin_floor(text, timestamptz) IS
    'Gives a tenant that has no events in event_store_partitioned yet its floor; nothing where it has, or is under legal hold.';

-- The maintenance's: any, and only upwards.
CREATE FUNCTION public.event_store_raise_floor(p_tenant_id text, p_floor timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
    UPDATE event_store_tenant AS tenant
    SET retention_floor = p_floor
    WHERE tenant.tenant_id = p_tenant_id AND tenant.retention_floor < p_floor AND NOT tenant.legal_hold
$$;

COMMENT ON FUNCTION public.event_store_raise_floor(text, timestamptz) IS
    'Raises a tenant''s floor; nothing where it is as high already, or the tenant is under legal hold.';

-- What these do needs the owner's rights (they make, attach and drop tables); who may call them is granted below. Each has
-- its search_path pinned, and pg_temp last.
ALTER FUNCTION public.event_store_admit_tenant(text, integer) SECURITY DEFINER;
ALTER FUNCTION public.event_store_create_missing_months(text, integer, integer) SECURITY DEFINER;
ALTER FUNCTION public.event_store_create_months(text, timestamptz[]) SECURITY DEFINER;
ALTER FUNCTION public.event_store_create_month(text, timestamptz) SECURITY DEFINER;
ALTER FUNCTION public.ensure_event_store_partition(text, integer, integer) SECURITY DEFINER;
ALTER FUNCTION public.ensure_event_store_partitions_for_all(integer, integer) SECURITY DEFINER;
ALTER FUNCTION public.event_store_finalize_detach(text) SECURITY DEFINER;
ALTER FUNCTION public.event_store_register_detached(text, integer) SECURITY DEFINER;
ALTER FUNCTION public.event_store_drop_detached(text, text) SECURITY DEFINER;
ALTER FUNCTION public.event_store_restore_month(text, timestamptz, text, text) SECURITY DEFINER;
ALTER FUNCTION public.event_store_set_retention(text, integer, text, text) SECURITY DEFINER;
ALTER FUNCTION public.event_store_set_legal_hold(text, boolean, text, text) SECURITY DEFINER;
ALTER FUNCTION public.event_store_purge_legacy(text, timestamptz, uuid, integer, boolean, boolean, boolean, bigint, text, text)
    SECURITY DEFINER;

-- PostgreSQL lets everybody execute a new function.
REVOKE EXECUTE ON FUNCTION
    public.event_store_begin_floor(text, timestamptz),
    public.event_store_raise_floor(text, timestamptz),
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
FROM PUBLIC;

-- Nothing where the role does not exist; a NOTICE where it is not ours to grant: an adopted legacy table has its own owner.
CREATE FUNCTION public.event_store_grant(p_privileges text, p_objects text, p_role text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = p_role) THEN
        EXECUTE format('GRANT %s ON %s TO %I', p_privileges, p_objects, p_role);
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE '% on % is not granted to %: %', p_privileges, p_objects, p_role, SQLERRM
        USING HINT = 'have its owner grant it';
END
$$;

-- May be called again, by the owner: after the roles were made by somebody else, or a grant was lost.
CREATE FUNCTION public.event_store_grant_roles() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    grantee text;
BEGIN
    FOREACH grantee IN ARRAY ARRAY['event_store_app', 'event_store_maintenance', 'event_store_reader'] LOOP
        PERFORM event_store_grant('USAGE', 'SCHEMA public', grantee);
        PERFORM event_store_grant('SELECT', 'public.event_store', grantee);
        PERFORM event_store_grant(
            'SELECT',
            'public.event_store_partitioned, public.event_store_tenant, public.event_store_stream, '
            'public.event_store_control, public.event_store_detached, public.event_store_floor_change, '
            'public.event_store_retention_change, public.event_store_partition_metrics, '
            'public.event_store_partition_overview',
            grantee
        );
        -- Made by the service before its first migration; none where the schema was brought here by other means.
        IF to_regclass('public.event_store_migration') IS NOT NULL THEN
            PERFORM event_store_grant('SELECT', 'public.event_store_migration', grantee);
        END IF;
    END LOOP;

    FOREACH grantee IN ARRAY ARRAY['event_store_app', 'event_store_maintenance'] LOOP
        -- Both tables by their roots: nobody is granted a leaf, so what the roots refuse cannot be had from one.
        PERFORM event_store_grant('INSERT', 'public.event_store', grantee);
        PERFORM event_store_grant('INSERT', 'public.event_store_partitioned', grantee);
        PERFORM event_store_grant('INSERT, UPDATE', 'public.event_store_stream', grantee);
        -- Its other columns say who keeps what: those are changed by functions that write down who did it.
        PERFORM event_store_grant('UPDATE (last_position)', 'public.event_store_tenant', grantee);
        PERFORM event_store_grant(
            'EXECUTE',
            'FUNCTION public.event_store_admit_tenant(text, integer), '
            'public.event_store_create_missing_months(text, integer, integer), '
            'public.event_store_create_months(text, timestamptz[]), '
            'public.event_store_begin_floor(text, timestamptz)',
            grantee
        );
    END LOOP;

    PERFORM event_store_grant(
        'EXECUTE',
        'FUNCTION public.event_store_raise_floor(text, timestamptz), '
        'public.event_store_create_month(text, timestamptz), '
        'public.ensure_event_store_partition(text, integer, integer), '
        'public.ensure_event_store_partitions_for_all(integer, integer), '
        'public.event_store_finalize_detach(text), '
        'public.event_store_register_detached(text, integer), '
        'public.event_store_drop_detached(text, text), '
        'public.event_store_restore_month(text, timestamptz, text, text), '
        'public.event_store_set_retention(text, integer, text, text), '
        'public.event_store_set_legal_hold(text, boolean, text, text), '
        'public.event_store_purge_legacy(text, timestamptz, uuid, integer, boolean, boolean, boolean, bigint, text, text)',
        'event_store_maintenance'
    );
END
$$;

COMMENT ON FUNCTION public.event_store_grant_roles() IS
    'Grants event_store_app, event_store_maintenance and event_store_reader what docs/operations/roles.md says, where they exist.';

SELECT public.event_store_grant_roles();
