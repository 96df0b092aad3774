-- Why:   what maintenance of a tenant would do, in order, without doing it. ensure_event_store_partition (0010) carries it
--        out, a dry run prints it, a check finds it empty: the rule of which months live is written here and nowhere else.
-- Lock:  none; reading takes ACCESS SHARE on catalogues and the registry only.
-- Time:  milliseconds.
-- Phase: before dual.

-- The limits of maintenance, asked by whoever takes them as arguments.
CREATE FUNCTION public.event_store_check_limits(p_months_ahead integer, p_retention_months integer) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF p_months_ahead IS NULL OR p_months_ahead NOT BETWEEN 0 AND 120 THEN
        RAISE EXCEPTION 'months_ahead is %, must be between 0 and 120', coalesce(p_months_ahead::text, 'null')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF p_retention_months NOT BETWEEN 0 AND 1200 THEN
        RAISE EXCEPTION 'retention_months is %, must be between 0 and 1200', p_retention_months
            USING ERRCODE = 'invalid_parameter_value', HINT = 'pass 0 or null to keep events for ever';
    END IF;
END
$$;

CREATE FUNCTION public.event_store_check_tenant_id(p_tenant_id text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF coalesce(p_tenant_id, '') = '' THEN
        RAISE EXCEPTION 'tenant_id is %, must have 1 to 255 characters',
            CASE WHEN p_tenant_id IS NULL THEN 'null' ELSE 'empty' END
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF char_length(p_tenant_id) > 255 THEN
        RAISE EXCEPTION 'tenant_id has % characters, must have 1 to 255', char_length(p_tenant_id)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;

COMMENT ON FUNCTION public.event_store_check_limits(integer, integer) IS 'Raises 22023 on months_ahead outside 0 to 120 or retention_months outside 0 to 1200.';
COMMENT ON FUNCTION public.event_store_check_tenant_id(text) IS 'Raises 22023 on a tenant_id that is null, empty or longer than 255 characters.';

-- Floor: the start of this UTC month less the months kept. The tenant's own retention wins over the argument, a legal hold
-- wins over both, and the floor never goes down: what is gone is gone, and a clock that is set back changes nothing.
-- Months: the one before this (clocks differ, events come late), this, and p_months_ahead more; none wholly below the floor.
CREATE FUNCTION public.event_store_partition_plan(
    p_tenant_id text,
    p_months_ahead integer DEFAULT 2,
    p_retention_months integer DEFAULT 18,
    p_now timestamptz DEFAULT now()
)
RETURNS TABLE (action text, partition_name text, range_start timestamptz, range_end timestamptz)
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, public, pg_temp
SET "TimeZone" = 'UTC'
AS $$
#variable_conflict use_column
BEGIN
    PERFORM event_store_check_tenant_id(p_tenant_id);
    PERFORM event_store_check_limits(p_months_ahead, p_retention_months);

    RETURN QUERY
    WITH tenant_table AS MATERIALIZED (
        SELECT tenant.partition_name, tenant.state FROM event_store_partition_tenant(p_tenant_id) AS tenant
    ),
    registered AS (
        -- One row always: a tenant not yet registered has the defaults of a new one.
        SELECT
            tenant.tenant_id IS NOT NULL AS is_known,
            attached.partition_name IS NOT NULL AS is_attached,
            coalesce(attached.partition_name, event_store_free_partition_name(tenant.partition_name)) AS table_name,
            coalesce(tenant.legal_hold, false) AS legal_hold,
            coalesce(tenant.retention_floor, '-infinity') AS floor_now,
            nullif(coalesce(tenant.retention_months, p_retention_months), 0) AS months_kept
        FROM (SELECT) AS one
        LEFT JOIN event_store_tenant AS tenant ON tenant.tenant_id = p_tenant_id
        LEFT JOIN tenant_table AS attached ON attached.state = 'attached'
    ),
    policy AS (
        SELECT
            registered.*,
            CASE
                WHEN registered.legal_hold OR registered.months_kept IS NULL THEN registered.floor_now
                ELSE greatest(
                    registered.floor_now,
                    event_store_month_start(p_now) - make_interval(months => registered.months_kept)
                )
            END AS floor_wanted
        FROM registered
    ),
    leaf AS MATERIALIZED (
        SELECT
            leaf.partition_name,
            leaf.state,
            leaf.range_start,
            leaf.range_end,
            coalesce(leaf.range_start, '-infinity') AS lower_bound,
            coalesce(leaf.range_end, 'infinity') AS upper_bound
        FROM event_store_partition_leaf(p_tenant_id) AS leaf
    ),
    wanted AS (
        SELECT
            event_store_month_start(p_now) + make_interval(months => months.n) AS month_start,
            event_store_month_start(p_now) + make_interval(months => months.n + 1) AS month_end
        FROM generate_series(-1, p_months_ahead) AS months (n)
    ),
    step AS (
        SELECT
            1 AS place,
            'create_tenant' AS action,
            policy.table_name AS partition_name,
            NULL::timestamptz AS range_start,
            NULL::timestamptz AS range_end
        FROM policy
        WHERE NOT (policy.is_known AND policy.is_attached)
        UNION ALL
        SELECT
            2,
            'create_month',
            event_store_month_partition_name(policy.table_name, wanted.month_start),
            wanted.month_start,
            wanted.month_end
        FROM policy
        CROSS JOIN wanted
        WHERE wanted.month_end > policy.floor_wanted
            AND NOT EXISTS (
                SELECT FROM leaf
                WHERE leaf.state = 'attached'
                    AND leaf.lower_bound < wanted.month_end
                    AND leaf.upper_bound > wanted.month_start
            )
        UNION ALL
        SELECT 3, 'finalize', tenant_table.partition_name, NULL, NULL
        FROM tenant_table
        WHERE tenant_table.state = 'pending'
        UNION ALL
        -- The months of a tenant table that is itself on its way out go with it.
        SELECT 3, 'finalize', leaf.partition_name, leaf.range_start, leaf.range_end
        FROM leaf
        WHERE leaf.state = 'pending' AND NOT EXISTS (SELECT FROM tenant_table WHERE tenant_table.state = 'pending')
        UNION ALL
        SELECT 4, 'raise_floor', NULL, nullif(policy.floor_now, '-infinity'), policy.floor_wanted
        FROM policy
        WHERE policy.floor_wanted > policy.floor_now
        UNION ALL
        SELECT 5, 'drop_month', leaf.partition_name, leaf.range_start, leaf.range_end
        FROM policy
        CROSS JOIN leaf
        WHERE leaf.state = 'attached' AND leaf.upper_bound <= policy.floor_wanted AND NOT policy.legal_hold
    )
    SELECT step.action, step.partition_name, step.range_start, step.range_end
    FROM step
    ORDER BY step.place, step.range_start NULLS FIRST, step.partition_name;
END
$$;

COMMENT ON FUNCTION public.event_store_partition_plan(text, integer, integer, timestamptz) IS
    'What ensure_event_store_partition would do, in order: create_tenant, create_month, finalize, raise_floor (range_start: the floor now, NULL for none; range_end: the floor then), drop_month. partition_name is NULL while the tenant has no number.';
