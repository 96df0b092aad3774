-- Why:   what partitions there are: read-only functions, one place for each question. The views (0007), the plan (0008),
--        the builders (0009) and the service all ask here.
-- Lock:  none; reading takes ACCESS SHARE on catalogues only, never on a partition.
-- Time:  milliseconds.
-- Phase: before dual.

-- Existence is proved by pg_inherits and bounds, never by a name: anybody can create a table called t1_2026_11.
-- pg_get_expr is given relation 0: a bound holds no column, and so no partition is opened, locked or missed.
-- It prints in the session's TimeZone, DateStyle and quoting, hence the settings on each function that parses it.

-- Pure on purpose: no settings of its own, so that the planner inlines it into whatever asks.
CREATE FUNCTION public.event_store_month_start(ts timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN date_trunc('month', ts AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';

COMMENT ON FUNCTION public.event_store_month_start(timestamptz) IS
    'First instant of the UTC month of ts, whatever the session''s TimeZone.';

-- The tables of tenants: the root's children. A bound that lists several tenants (a bucket) gives a row for each.
CREATE FUNCTION public.event_store_partition_tenant(p_tenant_id text DEFAULT NULL)
RETURNS TABLE (tenant_id text, partition_name text, tenant_table oid, state text)
LANGUAGE sql STABLE ROWS 1 -- or the planner would scan the catalogues whole for the sake of one tenant
SET search_path = pg_catalog, public, pg_temp
SET standard_conforming_strings = on
AS $$
    WITH tenant_table AS (
        SELECT child.oid, child.relname, inherits.inhdetachpending, pg_get_expr(child.relpartbound, 0) AS bound
        FROM pg_inherits AS inherits
        JOIN pg_class AS child ON child.oid = inherits.inhrelid
        WHERE inherits.inhparent = 'public.event_store_partitioned'::regclass
            -- The cheap test first: with one tenant asked for, the pattern below runs on its bound alone.
            AND (
                p_tenant_id IS NULL
                OR strpos(pg_get_expr(child.relpartbound, 0), '''' || replace(p_tenant_id, '''', '''''') || '''') > 0
            )
    )
    SELECT
        replace(listed.quoted[1], '''''', ''''),
        tenant_table.relname::text,
        tenant_table.oid,
        CASE WHEN tenant_table.inhdetachpending THEN 'pending' ELSE 'attached' END
    FROM tenant_table
    -- FOR VALUES IN ('…', '…'): each string between single quotes, a quote within it doubled.
    CROSS JOIN LATERAL regexp_matches(tenant_table.bound, '''((?:[^'']|'''')*)''', 'g') AS listed (quoted)
    WHERE p_tenant_id IS NULL OR replace(listed.quoted[1], '''''', '''') = p_tenant_id
$$;

COMMENT ON FUNCTION public.event_store_partition_tenant(text) IS
    'Tables of tenants under event_store_partitioned (of one tenant, or of all with NULL); state is attached or pending (its detach was begun).';

CREATE FUNCTION public.event_store_partition_leaf(p_tenant_id text DEFAULT NULL)
RETURNS TABLE (
    tenant_id text, partition_name text, leaf oid, range_start timestamptz, range_end timestamptz, state text
)
LANGUAGE sql STABLE ROWS 20
SET search_path = pg_catalog, public, pg_temp
SET "TimeZone" = 'UTC'
SET "DateStyle" = 'ISO, YMD'
AS $$
    WITH month AS (
        SELECT
            tenant.tenant_id, child.oid, child.relname,
            pg_get_expr(child.relpartbound, 0) AS bound,
            inherits.inhdetachpending OR tenant.state = 'pending' AS detaching
        FROM event_store_partition_tenant(p_tenant_id) AS tenant
        JOIN pg_inherits AS inherits ON inherits.inhparent = tenant.tenant_table
        JOIN pg_class AS child ON child.oid = inherits.inhrelid
    )
    SELECT
        month.tenant_id,
        month.relname::text,
        month.oid,
        -- FOR VALUES FROM ('…') TO ('…'). MINVALUE and MAXVALUE have no quotes and give NULL: unbounded.
        substring(month.bound FROM 'FROM [(]''([^'']+)''[)]')::timestamptz,
        substring(month.bound FROM 'TO [(]''([^'']+)''[)]')::timestamptz,
        CASE WHEN month.detaching THEN 'pending' ELSE 'attached' END
    FROM month
$$;

COMMENT ON FUNCTION public.event_store_partition_leaf(text) IS
    'Leaves of event_store_partitioned (of one tenant, or of all with NULL): [range_start, range_end), NULL where unbounded; state is attached or pending (a detach was begun).';

-- The first of base, base_2, base_3 … that neither a table nor an index made for it bears. A month that was detached, and
-- waits to be restored or dropped, keeps its name.
CREATE FUNCTION public.event_store_free_partition_name(p_base text) RETURNS text
LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    candidate text := p_base;
    suffix integer := 1;
BEGIN
    WHILE EXISTS (
        SELECT FROM pg_class AS taken
        WHERE taken.relnamespace = 'event_store_partitions'::regnamespace
            AND taken.relname IN (
                candidate, candidate || '_pkey', candidate || '_version_key', candidate || '_position_key'
            )
    ) LOOP
        suffix := suffix + 1;
        candidate := p_base || '_' || suffix;
    END LOOP;
    RETURN candidate;
END
$$;

COMMENT ON FUNCTION public.event_store_free_partition_name(text) IS
    'A name free in schema event_store_partitions: the base itself, or with the first free suffix _2, _3 …';

CREATE FUNCTION public.event_store_month_partition_name(p_tenant_table text, p_month timestamptz) RETURNS text
LANGUAGE sql STABLE STRICT
SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT event_store_free_partition_name(p_tenant_table || to_char(p_month AT TIME ZONE 'UTC', '_YYYY_MM'))
$$;

COMMENT ON FUNCTION public.event_store_month_partition_name(text, timestamptz) IS
    'The name that the next leaf for this month gets: <tenant table>_<year>_<month>, with a suffix where it is taken.';
