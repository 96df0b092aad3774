-- Why:   maintenance of every tenant in one call, for psql and cron. The service goes tenant by tenant in transactions of
--        their own instead, which holds locks for less long.
-- Lock:  to create it: none. When called: those of ensure_event_store_partition, each held to the end of the call.
-- Time:  milliseconds; when called and there is nothing to do, 2 s at 500 tenants of 20 months each.
-- Phase: before dual.

-- Tenants are found without a scan of the largest table: a tenants table of the platform's, else one index probe a tenant.
-- In byte order, as appends lock them: two that lock several tenants never meet crosswise.
CREATE FUNCTION public.event_store_known_tenants() RETURNS SETOF text
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

COMMENT ON FUNCTION public.event_store_known_tenants() IS
    'Every tenant to maintain, in byte order: of public.tenants (tenant_id or id) where it exists, else of event_store and the registry.';

CREATE FUNCTION public.event_store_legacy_is_led_by_tenant() RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT EXISTS (
        SELECT FROM pg_index AS index
        JOIN pg_class AS relation ON relation.oid = index.indexrelid
        JOIN pg_am AS method ON method.oid = relation.relam AND method.amname = 'btree'
        JOIN pg_attribute AS attribute ON attribute.attrelid = index.indrelid AND attribute.attnum = index.indkey[0]
        WHERE index.indrelid = to_regclass('public.event_store')
            AND index.indisvalid
            AND index.indpred IS NULL
            AND attribute.attname = 'tenant_id'
    )
$$;

COMMENT ON FUNCTION public.event_store_legacy_is_led_by_tenant() IS
    'True when a valid, whole btree index of event_store begins with tenant_id: what the skip scan and the backfill need.';

-- Everything is created before anything is dropped: a drop holds its tenant's row and table until this call ends.
CREATE FUNCTION public.ensure_event_store_partitions_for_all(
    months_ahead integer DEFAULT 2, retention_months integer DEFAULT 18
) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    -- As long as an append may be made to wait. What is left below the floor goes with the next call.
    drop_budget CONSTANT interval := '2 seconds';
    drop_deadline timestamptz;
    tenant text;
    touched integer := 0;
    due text[] := '{}'; -- tenants with something to finish, to raise or to drop
    creates boolean;
    retains boolean;
BEGIN
    PERFORM event_store_check_limits(months_ahead, retention_months);

    -- New tenants last: each is attached to the root, and other sessions' new tenants wait from then on.
    FOR tenant IN
        SELECT known.id
        FROM event_store_known_tenants() AS known (id)
        LEFT JOIN event_store_partition_tenant() AS attached ON attached.tenant_id = known.id
        ORDER BY attached.tenant_id IS NULL, known.id COLLATE "C"
    LOOP
        BEGIN
            SELECT
                coalesce(bool_or(step.action IN ('create_tenant', 'create_month')), false),
                coalesce(bool_or(step.action NOT IN ('create_tenant', 'create_month')), false)
            INTO creates, retains
            FROM event_store_partition_plan(tenant, months_ahead, retention_months) AS step;

            -- Never waits: this call holds other tenants' locks, and two that wait for each other would deadlock.
            IF (creates OR retains) AND NOT event_store_lock_partitions(tenant, p_wait => false) THEN
                RAISE NOTICE 'tenant "%" left out: another session maintains it', tenant;
                CONTINUE;
            END IF;
            IF creates THEN
                PERFORM event_store_create_missing_months(tenant, months_ahead, retention_months);
            END IF;
            IF retains THEN
                due := due || tenant;
            END IF;
            touched := touched + 1;
        EXCEPTION
        WHEN out_of_memory THEN
            -- The lock table is full (some 400 new tenants at PostgreSQL's defaults): commit what there is, for everybody's sake.
            RAISE WARNING 'stopped before tenant "%": %', left(tenant, 255), SQLERRM
                USING HINT = 'call again for the rest, or raise max_locks_per_transaction';
            RETURN touched;
        WHEN OTHERS THEN
            -- A foreign tenants table may hold ids that are too long to be one: a message names no more than fits.
            RAISE WARNING 'tenant "%" left out: % (SQLSTATE %)', left(tenant, 255), SQLERRM, SQLSTATE;
        END;
    END LOOP;

    drop_deadline := clock_timestamp() + drop_budget;
    FOREACH tenant IN ARRAY due LOOP
        IF clock_timestamp() > drop_deadline THEN
            RAISE NOTICE 'retention stopped before tenant "%": % are over', tenant, drop_budget
                USING HINT = 'call again for the rest';
            EXIT;
        END IF;
        BEGIN
            PERFORM event_store_apply_retention(tenant, retention_months);
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'retention of tenant "%" left out: % (SQLSTATE %)', tenant, SQLERRM, SQLSTATE;
        END;
    END LOOP;
    RETURN touched;
END
$$;

COMMENT ON FUNCTION public.ensure_event_store_partitions_for_all(integer, integer) IS
    'ensure_event_store_partition for every known tenant; returns how many it went through, those with nothing to do among them. One that fails is a WARNING and is not counted.';
