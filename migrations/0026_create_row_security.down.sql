-- Why:   takes back row security. A login with the app's role reads and writes every tenant again, should a statement forget
--        its own.
-- Lock:  ACCESS EXCLUSIVE on event_store_partitioned (its root alone), event_store_stream, event_store_tenant and, where it was
--        guarded, event_store, until this migration is committed, given up after 2 s.
-- Time:  milliseconds.
-- Phase: any; processes of this release do not serve without it.
SET LOCAL lock_timeout = '2s';

ALTER TABLE public.event_store_partitioned DISABLE ROW LEVEL SECURITY;
ALTER TABLE public.event_store_stream DISABLE ROW LEVEL SECURITY;
ALTER TABLE public.event_store_tenant DISABLE ROW LEVEL SECURITY;

DO $migration$
DECLARE
    written record;
BEGIN
    IF EXISTS (
        SELECT FROM pg_policy WHERE polrelid = 'public.event_store'::regclass AND polname = 'event_store_everybody'
    ) THEN
        BEGIN
            ALTER TABLE public.event_store DISABLE ROW LEVEL SECURITY;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'event_store is left guarded: %', SQLERRM
                USING HINT = 'have its owner disable row security, and drop the policies event_store_everybody and event_store_app_names_tenants';
        END;
    END IF;
    FOR written IN
        SELECT policy.polname, policy.polrelid::regclass AS relation
        FROM pg_policy AS policy
        JOIN pg_class AS relation ON relation.oid = policy.polrelid AND NOT relation.relrowsecurity
        WHERE policy.polname IN ('event_store_everybody', 'event_store_app_names_tenants')
            AND policy.polrelid IN (
                'public.event_store_partitioned'::regclass, 'public.event_store_stream'::regclass,
                'public.event_store_tenant'::regclass, 'public.event_store'::regclass
            )
    LOOP
        EXECUTE format('DROP POLICY %I ON %s', written.polname, written.relation);
    END LOOP;
END
$migration$;

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
END
$$;

DROP FUNCTION public.event_store_guard_legacy(boolean);
DROP FUNCTION public.event_store_disable_row_security();
DROP FUNCTION public.event_store_enable_row_security();
DROP FUNCTION public.event_store_create_policies();
DROP FUNCTION public.event_store_write_policies(regclass, text);
DROP FUNCTION public.event_store_row_security_binds(regclass);
