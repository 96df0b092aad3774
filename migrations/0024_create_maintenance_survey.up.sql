-- Why:   a run of maintenance mostly finds nothing to do. Asking tenant by tenant then costs several statements for each of
--        them, every run; this asks for all at once, and only those that need something are visited.
-- Lock:  none; reading takes ACCESS SHARE on catalogues and registries only, never on a partition.
-- Time:  milliseconds to create; to ask, one pass over the catalogues.
-- Phase: before dual.

-- Which months live is said by event_store_partition_plan (0008), and which are detached by event_store_detached_leaf (0013);
-- a test holds this against both. It may name a tenant for which there turns out to be nothing to do, never the reverse.
-- Everything is gathered to one row a tenant before it is joined: the planner knows nothing of how many there are, and a
-- join of all leaves by loops would take longer than what it saves.
CREATE FUNCTION public.event_store_maintenance_survey(
    p_months_ahead integer DEFAULT 2,
    p_retention_months integer DEFAULT 18,
    p_now timestamptz DEFAULT now()
)
RETURNS TABLE (tenant_id text, is_attached boolean, is_due boolean, retention_floor timestamptz)
LANGUAGE plpgsql STABLE ROWS 500
SET search_path = pg_catalog, public, pg_temp
SET "TimeZone" = 'UTC'
AS $$
#variable_conflict use_column
BEGIN
    PERFORM event_store_check_limits(p_months_ahead, p_retention_months);

    RETURN QUERY
    WITH tenant_table AS MATERIALIZED (
        SELECT
            tenant.tenant_id,
            bool_or(tenant.state = 'attached') AS is_attached,
            bool_or(tenant.state = 'pending') AS is_pending
        FROM event_store_partition_tenant() AS tenant
        GROUP BY tenant.tenant_id
    ),
    leaves AS MATERIALIZED (
        SELECT
            leaf.tenant_id,
            bool_or(leaf.state = 'pending') AS is_pending,
            min(coalesce(leaf.range_end, 'infinity')) FILTER (WHERE leaf.state = 'attached') AS first_end,
            coalesce(
                range_agg(tstzrange(leaf.range_start, leaf.range_end)) FILTER (WHERE leaf.state = 'attached'), '{}'
            ) AS covered
        FROM event_store_partition_leaf() AS leaf
        GROUP BY leaf.tenant_id
    ),
    -- Tables of months that hang on nothing, and the registry of them: each must know the other.
    loose AS MATERIALIZED (
        SELECT relation.relname::text AS partition_name, obj_description(relation.oid, 'pg_class') AS tenant_id
        FROM pg_class AS relation
        WHERE relation.relnamespace = 'event_store_partitions'::regnamespace
            AND relation.relkind = 'r'
            AND NOT relation.relispartition
            AND relation.relname::text ~ '^t[0-9]+_[0-9]{4}_(0[1-9]|1[0-2])(_[0-9]+)?$'
    ),
    waiting AS MATERIALIZED (
        SELECT
            waiting.tenant_id::text, waiting.partition_name,
            waiting.drop_after <= p_now AND waiting.range_end <= tenant.retention_floor AND NOT tenant.legal_hold AS is_over
        FROM event_store_detached AS waiting
        JOIN event_store_tenant AS tenant ON tenant.tenant_id = waiting.tenant_id
        WHERE waiting.dropped_at IS NULL
    ),
    detached AS MATERIALIZED (
        SELECT coalesce(waiting.tenant_id, loose.tenant_id) AS tenant_id
        FROM waiting
        FULL JOIN loose ON loose.partition_name = waiting.partition_name AND loose.tenant_id = waiting.tenant_id
        WHERE waiting.partition_name IS NULL OR loose.partition_name IS NULL OR waiting.is_over
        GROUP BY 1
    ),
    registered AS MATERIALIZED (
        SELECT
            known.tenant_id,
            tenant.tenant_id IS NOT NULL AS is_known,
            coalesce(tenant.legal_hold, false) AS legal_hold,
            coalesce(tenant.retention_floor, '-infinity') AS floor_now,
            CASE
                WHEN tenant.legal_hold OR coalesce(tenant.retention_months, p_retention_months, 0) = 0
                THEN coalesce(tenant.retention_floor, '-infinity')
                ELSE greatest(
                    coalesce(tenant.retention_floor, '-infinity'),
                    event_store_month_start(p_now)
                    - make_interval(months => coalesce(tenant.retention_months, p_retention_months))
                )
            END AS floor_wanted
        FROM event_store_known_tenants() AS known (tenant_id)
        LEFT JOIN event_store_tenant AS tenant ON tenant.tenant_id = known.tenant_id
    ),
    wanted AS MATERIALIZED (
        SELECT
            event_store_month_start(p_now) + make_interval(months => months.n) AS month_start,
            event_store_month_start(p_now) + make_interval(months => months.n + 1) AS month_end
        FROM generate_series(-1, p_months_ahead) AS months (n)
    )
    SELECT
        registered.tenant_id,
        coalesce(tenant_table.is_attached, false),
        NOT registered.is_known
        OR NOT coalesce(tenant_table.is_attached, false)
        OR tenant_table.is_pending
        OR coalesce(leaves.is_pending, false)
        OR registered.floor_wanted > registered.floor_now
        OR coalesce(leaves.first_end <= registered.floor_wanted, false) AND NOT registered.legal_hold
        OR detached.tenant_id IS NOT NULL
        OR EXISTS (
            SELECT FROM wanted
            WHERE wanted.month_end > registered.floor_wanted
                AND NOT coalesce(leaves.covered && tstzrange(wanted.month_start, wanted.month_end), false)
        ),
        nullif(registered.floor_now, '-infinity')
    FROM registered
    LEFT JOIN tenant_table ON tenant_table.tenant_id = registered.tenant_id
    LEFT JOIN leaves ON leaves.tenant_id = registered.tenant_id
    LEFT JOIN detached ON detached.tenant_id = registered.tenant_id
    ORDER BY registered.tenant_id COLLATE "C";
END
$$;

COMMENT ON FUNCTION public.event_store_maintenance_survey(integer, integer, timestamptz) IS
    'Every known tenant, by its bytes: whether its table is attached, whether maintenance has anything to do for it, and its floor (NULL: none).';

-- As before (0011), but only the tenants that are due are planned for. Everything is created before anything is dropped: a
-- drop holds its tenant's row and table until this call ends.
CREATE OR REPLACE FUNCTION public.ensure_event_store_partitions_for_all(
    months_ahead integer DEFAULT 2, retention_months integer DEFAULT 18
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    -- As long as an append may be made to wait. What is left below the floor goes with the next call.
    drop_budget CONSTANT interval := '2 seconds';
    drop_deadline timestamptz;
    tenant text;
    is_due boolean;
    touched integer := 0;
    due text[] := '{}'; -- tenants with something to finish, to raise or to drop
    creates boolean;
    retains boolean;
BEGIN
    -- New tenants last: each is attached to the root, and other sessions' new tenants wait from then on.
    FOR tenant, is_due IN
        SELECT survey.tenant_id, survey.is_due
        FROM event_store_maintenance_survey(months_ahead, retention_months) AS survey
        ORDER BY survey.is_attached DESC, survey.tenant_id COLLATE "C"
    LOOP
        IF NOT is_due THEN
            touched := touched + 1;
            CONTINUE;
        END IF;
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
