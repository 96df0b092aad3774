-- Why:   what there is to copy: months of tenants, found by probes of an index, never by a scan of the largest table.
-- Lock:  none; reading takes ACCESS SHARE.
-- Time:  milliseconds; when called, one probe a month of a tenant.
-- Phase: before dual.

-- Pages are read by (tenant_id, event_timestamp): with any other index each of them would read its tenant whole.
CREATE FUNCTION public.event_store_legacy_is_ordered_by_time() RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT EXISTS (
        SELECT FROM pg_index AS index
        JOIN pg_class AS relation ON relation.oid = index.indexrelid
        JOIN pg_am AS method ON method.oid = relation.relam AND method.amname = 'btree'
        JOIN pg_attribute AS first_key ON first_key.attrelid = index.indrelid AND first_key.attnum = index.indkey[0]
        JOIN pg_attribute AS second_key ON second_key.attrelid = index.indrelid AND second_key.attnum = index.indkey[1]
        WHERE index.indrelid = to_regclass('public.event_store')
            AND index.indisvalid
            AND index.indpred IS NULL
            AND index.indnkeyatts >= 2
            AND first_key.attname = 'tenant_id'
            AND second_key.attname = 'event_timestamp'
    )
$$;

COMMENT ON FUNCTION public.event_store_legacy_is_ordered_by_time() IS
    'True when a valid, whole btree index of event_store begins with (tenant_id, event_timestamp): what the backfill needs.';

-- What tells one row from another, whatever it lacks.
CREATE FUNCTION public.event_store_row_key(
    p_tenant_id text, p_event_id text, p_aggregate_type text, p_aggregate_id text, p_version text, p_timestamp text
) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT md5(ROW(p_tenant_id, p_event_id, p_aggregate_type, p_aggregate_id, p_version, p_timestamp)::text)
$$;

COMMENT ON FUNCTION public.event_store_row_key(text, text, text, text, text, text) IS 'MD5 of a row''s keys: what event_store_quarantine knows it by.';

-- Newest first. A month whose rows all lie below the floor is listed as well: its rows are not copied, but the heads of
-- its streams are.
CREATE FUNCTION public.event_store_legacy_month(p_tenant_id text) RETURNS SETOF timestamptz
LANGUAGE sql STABLE ROWS 20
SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH RECURSIVE found AS (
        SELECT event_store_month_start((
            SELECT max(legacy.event_timestamp)
            FROM event_store AS legacy
            WHERE legacy.tenant_id = p_tenant_id
                AND legacy.event_timestamp >= '0001-01-01 UTC'
                AND legacy.event_timestamp < '9999-12-01 UTC'
        )) AS month_start
        UNION ALL
        SELECT event_store_month_start((
            SELECT max(legacy.event_timestamp)
            FROM event_store AS legacy
            WHERE legacy.tenant_id = p_tenant_id
                AND legacy.event_timestamp >= '0001-01-01 UTC'
                AND legacy.event_timestamp < found.month_start
        ))
        FROM found
        WHERE found.month_start IS NOT NULL
    )
    SELECT found.month_start FROM found WHERE found.month_start IS NOT NULL
$$;

COMMENT ON FUNCTION public.event_store_legacy_month(text) IS
    'The UTC months in which a tenant has rows in event_store, newest first, those below its floor among them.';

-- The planner's word: good enough for a progress bar, and it reads statistics alone.
CREATE FUNCTION public.event_store_estimate_legacy(p_tenant_id text, p_month timestamptz) RETURNS bigint
LANGUAGE plpgsql -- VOLATILE: EXPLAIN is refused in others
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE format(
        'EXPLAIN (FORMAT JSON) SELECT FROM public.event_store'
        ' WHERE tenant_id = %L AND event_timestamp >= %L AND event_timestamp < %L',
        p_tenant_id, p_month, p_month + interval '1 month'
    ) INTO plan;
    RETURN (plan -> 0 -> 'Plan' ->> 'Plan Rows')::numeric::bigint;
END
$$;
ALTER FUNCTION public.event_store_estimate_legacy(text, timestamptz) SET "TimeZone" = 'UTC';

COMMENT ON FUNCTION public.event_store_estimate_legacy(text, timestamptz) IS
    'How many rows of event_store the planner expects in a month of a tenant; as good as the last ANALYZE.';

-- The roles' share of 0021 to 0023. Workers serve as event_store_app or event_store_maintenance; who changes the phase needs
-- the latter. May be called again, by the owner, after event_store_grant_roles.
CREATE FUNCTION public.event_store_grant_backfill() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    grantee text;
BEGIN
    FOREACH grantee IN ARRAY ARRAY['event_store_app', 'event_store_maintenance', 'event_store_reader'] LOOP
        PERFORM event_store_grant(
            'SELECT',
            'public.event_store_backfill, public.event_store_backfill_unit, public.event_store_quarantine, '
            'public.event_store_mismatch',
            grantee
        );
    END LOOP;
    FOREACH grantee IN ARRAY ARRAY['event_store_app', 'event_store_maintenance'] LOOP
        PERFORM event_store_grant('UPDATE', 'public.event_store_backfill', grantee);
        PERFORM event_store_grant('INSERT, UPDATE', 'public.event_store_backfill_unit', grantee);
        PERFORM event_store_grant('INSERT, UPDATE, DELETE', 'public.event_store_quarantine', grantee);
        PERFORM event_store_grant('INSERT, UPDATE', 'public.event_store_mismatch', grantee);
        PERFORM event_store_grant(
            'UPDATE (history_position, backfilled_at, verified_at)', 'public.event_store_tenant', grantee
        );
        PERFORM event_store_grant('EXECUTE', 'FUNCTION public.event_store_create_month(text, timestamptz)', grantee);
    END LOOP;
END
$$;

COMMENT ON FUNCTION public.event_store_grant_backfill() IS
    'Grants event_store_app, event_store_maintenance and event_store_reader what a backfill needs, where they exist.';

SELECT public.event_store_grant_backfill();
