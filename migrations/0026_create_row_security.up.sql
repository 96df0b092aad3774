-- Why:   a second wall between tenants. Every statement of the service names its tenant; for a login that has only the app's
--        role, one that forgets it reads and writes nothing of other tenants.
-- Lock:  ACCESS EXCLUSIVE on event_store_partitioned (its root alone), event_store_stream and event_store_tenant until this
--        migration is committed. When called: the same for the functions that turn it on and off. Given up after 250 ms with
--        55P03, for reads and writes queue behind it.
-- Time:  milliseconds, whatever the size of the tables.
-- Phase: any. In a database that holds events already it is not on yet: a release before this one does not name its tenants
--        to the database, and would find nothing. `SELECT event_store_enable_row_security()` once all processes are new.
CREATE FUNCTION public.event_store_row_security_binds(p_table regclass) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT row_security_active(p_table) AND EXISTS (
        SELECT
        FROM pg_policy AS policy
        CROSS JOIN UNNEST(policy.polroles) AS bound (role)
        WHERE policy.polrelid = p_table
            AND NOT policy.polpermissive
            AND (bound.role = 0 OR pg_has_role(bound.role, 'USAGE'))
    )
$$;

COMMENT ON FUNCTION public.event_store_row_security_binds(regclass) IS
    'True when row security of the table keeps this login to the tenants that its session names in partita.tenants.';

-- Two policies a table. The first lets everybody do what was granted, for row security alone would forbid it; the second takes
-- away from members of event_store_app whatever the session did not name. Owners of the table, superusers and roles with
-- BYPASSRLS are not asked.
--
-- The list is read once a statement, by the subquery. COALESCE is there for the planner: a bare `tenant_id = ANY (list)` is an
-- index condition, and lanes, which keep their plans, were seen to read all rows of the named tenants by it instead of
-- probing for one by its key.
CREATE FUNCTION public.event_store_write_policies(p_table regclass, p_command text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '250ms'
AS $$
DECLARE
    everybody CONSTANT name := 'event_store_everybody';
    app CONSTANT name := 'event_store_app_names_tenants';
    named CONSTANT text :=
        'COALESCE(tenant_id = ANY ((SELECT NULLIF(current_setting(''partita.tenants'', true), '''')::text[])::text[]), false)';
BEGIN
    IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = p_table AND polname = everybody) THEN
        EXECUTE format('CREATE POLICY %I ON %s USING (true) WITH CHECK (true)', everybody, p_table);
    END IF;
    IF to_regrole('event_store_app') IS NOT NULL
        AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = p_table AND polname = app)
    THEN
        EXECUTE format(
            'CREATE POLICY %1$I ON %2$s AS RESTRICTIVE FOR %3$s TO event_store_app USING (%4$s) WITH CHECK (%4$s)',
            app, p_table, p_command, named
        );
    END IF;
END
$$;

COMMENT ON FUNCTION public.event_store_write_policies(regclass, text) IS
    'Gives a table the policies that it lacks; without event_store_app the second one is left out. Not to be called by hand.';

-- The registry is read without a tenant: its names stand in the bounds of partitions, where every login can read them, and
-- how many tenants there are must be counted. It is changed by name only.
CREATE FUNCTION public.event_store_create_policies() RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT event_store_write_policies('public.event_store_partitioned', 'ALL');
    SELECT event_store_write_policies('public.event_store_stream', 'ALL');
    SELECT event_store_write_policies('public.event_store_tenant', 'UPDATE');
$$;

COMMENT ON FUNCTION public.event_store_create_policies() IS
    'Gives the tables of tenants'' data the policies that they lack. Part of event_store_grant_roles.';

CREATE FUNCTION public.event_store_enable_row_security() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '250ms'
AS $$
BEGIN
    ALTER TABLE public.event_store_partitioned ENABLE ROW LEVEL SECURITY;
    ALTER TABLE public.event_store_stream ENABLE ROW LEVEL SECURITY;
    ALTER TABLE public.event_store_tenant ENABLE ROW LEVEL SECURITY;
EXCEPTION WHEN lock_not_available THEN
    RAISE EXCEPTION 'row security was not turned on: other sessions hold the tables'
        USING ERRCODE = 'lock_not_available', HINT = 'try again';
END
$$;

COMMENT ON FUNCTION public.event_store_enable_row_security() IS
    'Turns row security of event_store_partitioned, event_store_stream and event_store_tenant on; 55P03 when the locks are not had within 250 ms: try again. Only when no process of a release before it serves any more.';

CREATE FUNCTION public.event_store_disable_row_security() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '250ms'
AS $$
BEGIN
    ALTER TABLE public.event_store_partitioned DISABLE ROW LEVEL SECURITY;
    ALTER TABLE public.event_store_stream DISABLE ROW LEVEL SECURITY;
    ALTER TABLE public.event_store_tenant DISABLE ROW LEVEL SECURITY;
EXCEPTION WHEN lock_not_available THEN
    RAISE EXCEPTION 'row security was not turned off: other sessions hold the tables'
        USING ERRCODE = 'lock_not_available', HINT = 'try again';
END
$$;

COMMENT ON FUNCTION public.event_store_disable_row_security() IS
    'Turns off what event_store_enable_row_security turned on; the policies stay, without effect. 55P03 as there.';

-- The legacy table belongs to the platform: its other programs and its dumps are none of a migration's business, so this is
-- its owner's to call. Their policies are theirs: ours would open what they close.
CREATE FUNCTION public.event_store_guard_legacy(p_on boolean) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '250ms'
AS $$
DECLARE
    legacy CONSTANT regclass := 'public.event_store';
    is_on CONSTANT boolean := (SELECT relrowsecurity FROM pg_class WHERE oid = legacy);
    ours CONSTANT bigint := (SELECT count(*) FROM pg_policy WHERE polrelid = legacy AND polname ^@ 'event_store_');
    theirs CONSTANT bigint := (SELECT count(*) FROM pg_policy WHERE polrelid = legacy AND NOT polname ^@ 'event_store_');
BEGIN
    IF theirs > 0 OR (is_on AND ours = 0) THEN
        RAISE EXCEPTION 'row security of % is somebody else''s', legacy
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'drop its policies and disable it first, or leave it as it is';
    END IF;
    IF p_on THEN
        PERFORM event_store_write_policies(legacy, 'ALL');
        ALTER TABLE public.event_store ENABLE ROW LEVEL SECURITY;
    ELSIF ours > 0 THEN
        ALTER TABLE public.event_store DISABLE ROW LEVEL SECURITY;
        DROP POLICY IF EXISTS event_store_app_names_tenants ON public.event_store;
        DROP POLICY IF EXISTS event_store_everybody ON public.event_store;
    END IF;
EXCEPTION WHEN lock_not_available THEN
    RAISE EXCEPTION 'row security of % was left as it is: other sessions hold the table', legacy
        USING ERRCODE = 'lock_not_available',
              HINT = 'try again; an autovacuum in the way may be ended with pg_cancel_backend';
END
$$;

COMMENT ON FUNCTION public.event_store_guard_legacy(boolean) IS
    'Turns row security of event_store on, by the same policies, or off and takes them away. For the table''s owner; 55000 where it has policies of somebody else''s, 55P03 when the lock is not had within 250 ms: try again.';

-- May be called again, by the owner: after the roles were made by somebody else, or a grant was lost.
CREATE OR REPLACE FUNCTION public.event_store_grant_roles() RETURNS void
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
            'public.event_store_retention_change, public.event_store_phase_change, public.event_store_instance, '
            'public.event_store_partition_metrics, '
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
        PERFORM event_store_grant('INSERT, UPDATE, DELETE', 'public.event_store_instance', grantee);
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
        'public.event_store_raise_fence(text), '
        'public.event_store_lower_fence(text), '
        'public.event_store_finalize(text), '
        'public.event_store_begin_restore(text), '
        'public.event_store_end_restore(text), '
        'public.event_store_purge_legacy(text, timestamptz, uuid, integer, boolean, boolean, boolean, bigint, text, text)',
        'event_store_maintenance'
    );

    PERFORM event_store_create_policies();
END
$$;

-- As before (0011), but a login that is kept to named tenants finds none in legacy by looking for them, however long it looks.
CREATE OR REPLACE FUNCTION public.event_store_known_tenants() RETURNS SETOF text
LANGUAGE plpgsql STABLE ROWS 500
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    id_column name;
BEGIN
    SELECT attribute.attname INTO id_column
    FROM pg_attribute AS attribute
    WHERE attribute.attrelid = to_regclass('public.tenants')
        AND attribute.attname IN ('tenant_id', 'id')
        AND attribute.attnum > 0
        AND NOT attribute.attisdropped
    ORDER BY attribute.attname = 'tenant_id' DESC
    LIMIT 1;
    IF FOUND THEN
        RETURN QUERY EXECUTE format(
            'SELECT DISTINCT %1$I::text COLLATE "C" FROM public.tenants WHERE %1$I IS NOT NULL ORDER BY 1', id_column
        );
        RETURN;
    END IF;

    IF event_store_row_security_binds('public.event_store') THEN
        RETURN QUERY SELECT tenant.tenant_id::text COLLATE "C" FROM event_store_tenant AS tenant ORDER BY 1;
        RETURN;
    END IF;

    IF NOT event_store_legacy_is_led_by_tenant() THEN
        RAISE NOTICE 'no index of public.event_store begins with tenant_id: only registered tenants are maintained'
            USING HINT = 'CREATE INDEX CONCURRENTLY event_store_tenant_time_idx ON public.event_store (tenant_id, event_timestamp)';
        RETURN QUERY SELECT tenant.tenant_id::text COLLATE "C" FROM event_store_tenant AS tenant ORDER BY 1;
        RETURN;
    END IF;

    RETURN QUERY
    WITH RECURSIVE skip_scan AS (
        (SELECT legacy.tenant_id FROM event_store AS legacy ORDER BY legacy.tenant_id LIMIT 1)
        UNION ALL
        SELECT (
            SELECT legacy.tenant_id
            FROM event_store AS legacy
            WHERE legacy.tenant_id > skip_scan.tenant_id
            ORDER BY legacy.tenant_id
            LIMIT 1
        )
        FROM skip_scan
        WHERE skip_scan.tenant_id IS NOT NULL
    )
    SELECT skip_scan.tenant_id::text COLLATE "C" FROM skip_scan WHERE skip_scan.tenant_id IS NOT NULL
    UNION
    SELECT tenant.tenant_id::text COLLATE "C" FROM event_store_tenant AS tenant
    ORDER BY 1;
END
$$;

SELECT public.event_store_create_policies();

-- Nobody can be taken by surprise in a database that holds nothing yet.
DO $migration$
BEGIN
    IF NOT EXISTS (SELECT FROM public.event_store_tenant) AND NOT EXISTS (SELECT FROM public.event_store) THEN
        PERFORM public.event_store_enable_row_security();
    END IF;
END
$migration$;
