-- Why:   the way back from finalized loses nothing and gets stuck nowhere. Months that are detached and kept are copied back
--        like those that are attached: restored later, they are in both tables. A row that legacy refuses may be left behind,
--        by somebody who is named. A month is not restored where readers would miss what legacy alone has of it.
-- Lock:  ACCESS EXCLUSIVE on event_store_quarantine, given up after 2 s. When called: ACCESS SHARE on the leaves of a month;
--        restore_month as before, and the control row shared.
-- Time:  milliseconds. When called: a page by an index; a month whole where its rows are counted, or compared with legacy.
-- Phase: any.
SET LOCAL lock_timeout = '2s';

ALTER TABLE public.event_store_quarantine
    ADD COLUMN accepted_at timestamptz,
    ADD COLUMN accepted_by text,
    ADD COLUMN accept_reason text,
    ADD CONSTRAINT event_store_quarantine_accepted_whole CHECK (
        (accepted_at IS NULL) = (accepted_by IS NULL) AND (accepted_at IS NULL) = (accept_reason IS NULL)
    );

COMMENT ON COLUMN public.event_store_quarantine.accepted_at IS
    'restore: since when it is decided that the row stays in event_store_partitioned alone; NULL: it stands in the way';
COMMENT ON COLUMN public.event_store_quarantine.accepted_by IS 'who decided it';
COMMENT ON COLUMN public.event_store_quarantine.accept_reason IS 'why';

-- Every table that holds a month of a tenant, whatever hangs on what: attached, on its way out, or detached and kept. One
-- snapshot of the catalogue, in which a month is found however far its detach has come.
CREATE FUNCTION public.event_store_kept_leaf(p_tenant_id text)
RETURNS TABLE (leaf regclass, range_start timestamptz)
LANGUAGE sql STABLE ROWS 20
SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT leaf.leaf::regclass, leaf.range_start
    FROM event_store_partition_leaf(p_tenant_id) AS leaf
    WHERE leaf.range_start = event_store_month_start(leaf.range_start)
    UNION ALL
    SELECT to_regclass(format('event_store_partitions.%I', loose.partition_name)), loose.range_start
    FROM event_store_detached_leaf(p_tenant_id) AS loose
    WHERE to_regclass(format('event_store_partitions.%I', loose.partition_name)) IS NOT NULL
$$;

COMMENT ON FUNCTION public.event_store_kept_leaf(text) IS
    'Tables that hold whole months of a tenant, by the catalogue: leaves, those whose detach was begun, and detached months that are not dropped.';

-- By the leaves themselves, on which nobody has a right but the owner: a detached month hangs on nothing that grants one.
CREATE FUNCTION public.event_store_kept_rows(
    p_tenant_id text, p_month timestamptz, p_below bigint, p_rows bigint
) RETURNS SETOF public.event_store_partitioned
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1000
SET search_path = pg_catalog, public, pg_temp
SET "TimeZone" = 'UTC'
AS $$
DECLARE
    source text;
BEGIN
    SELECT string_agg(
        format(
            'SELECT event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata, '
                'tenant_id, user_id, correlation_id, causation_id, legal_basis, data_classification, retention_policy, '
                'ip_address, user_agent, session_id, request_id, event_hash, previous_event_hash, event_timestamp, '
                'created_at, "position" '
            'FROM %s WHERE tenant_id = $1 AND event_timestamp >= $2 AND event_timestamp < $2 + interval ''1 month'' '
            'AND "position" < $3',
            kept.leaf
        ),
        ' UNION ALL '
    )
    INTO source
    FROM event_store_kept_leaf(p_tenant_id) AS kept
    WHERE kept.range_start = p_month;
    IF source IS NOT NULL THEN
        RETURN QUERY EXECUTE format('SELECT * FROM (%s) AS kept ORDER BY "position" DESC LIMIT $4', source)
            USING p_tenant_id, p_month, p_below, p_rows;
    END IF;
END
$$;

COMMENT ON FUNCTION public.event_store_kept_rows(text, timestamptz, bigint, bigint) IS
    'The p_rows events of a UTC month of a tenant with the greatest positions below p_below, whether the month is attached or detached and kept; those below the floor as well.';

CREATE FUNCTION public.event_store_count_uncopied(
    p_tenant_id text, p_month timestamptz, p_quarantined boolean
) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
SET "TimeZone" = 'UTC'
AS $$
DECLARE
    kept regclass;
    counted bigint;
    total bigint := 0;
BEGIN
    FOR kept IN
        SELECT known.leaf FROM event_store_kept_leaf(p_tenant_id) AS known WHERE known.range_start = p_month
    LOOP
        EXECUTE format(
            'SELECT count(*) FROM %s AS copy '
            'WHERE copy.tenant_id = $1 AND copy.event_timestamp >= $2 AND copy.event_timestamp < $2 + interval ''1 month'' '
            'AND NOT EXISTS ('
            'SELECT FROM public.event_store AS legacy WHERE legacy.tenant_id = $1 AND legacy.event_timestamp >= $2 '
            'AND legacy.event_timestamp < $2 + interval ''1 month'' AND legacy.event_id = copy.event_id) '
            'AND ($3 OR NOT EXISTS ('
            'SELECT FROM public.event_store_quarantine AS row WHERE row.direction = ''restore'' '
            'AND row.row_key = public.event_store_row_key(copy.tenant_id::text, copy.event_id::text, '
            'copy.aggregate_type::text, copy.aggregate_id::text, copy.aggregate_version::text, '
            'copy.event_timestamp::text)))',
            kept
        )
        INTO counted
        USING p_tenant_id, p_month, p_quarantined;
        total := total + counted;
    END LOOP;
    RETURN total;
END
$$;

COMMENT ON FUNCTION public.event_store_count_uncopied(text, timestamptz, boolean) IS
    'How many events of a UTC month of a tenant, attached or detached and kept, are not in event_store; with p_quarantined those in quarantine are counted as well.';

-- Written to legacy alone, and expired before a backfill came by: no partition ever had them.
CREATE FUNCTION public.event_store_legacy_holds_more(p_tenant_id text, p_from timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
SET "TimeZone" = 'UTC'
AS $$
DECLARE
    month timestamptz;
    lacking text;
    found boolean;
BEGIN
    FOR month IN
        SELECT known.month_start
        FROM event_store_legacy_month(p_tenant_id) AS known (month_start)
        JOIN event_store_tenant AS tenant ON tenant.tenant_id = p_tenant_id
        WHERE known.month_start >= p_from AND known.month_start < tenant.retention_floor
    LOOP
        SELECT string_agg(
            format(
                ' AND NOT EXISTS (SELECT FROM %s AS copy WHERE copy.tenant_id = $1 AND copy.event_id = legacy.event_id)',
                kept.leaf
            ),
            ''
        )
        INTO lacking
        FROM event_store_kept_leaf(p_tenant_id) AS kept
        WHERE kept.range_start = month;
        EXECUTE
            'SELECT EXISTS (SELECT FROM public.event_store AS legacy WHERE legacy.tenant_id = $1 '
            'AND legacy.event_timestamp >= $2 AND legacy.event_timestamp < $2 + interval ''1 month'''
            || coalesce(lacking, '') || ')'
        INTO found
        USING p_tenant_id, month;
        IF found THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END
$$;

COMMENT ON FUNCTION public.event_store_legacy_holds_more(text, timestamptz) IS
    'Whether event_store has an event of the tenant, from the UTC month p_from to its floor, that no table of its month has. Compares those months whole.';

-- All months from the one asked for to the floor come back, or none: between months that are there, none may be gone.
CREATE OR REPLACE FUNCTION public.event_store_restore_month(
    p_tenant_id text, p_month timestamptz, p_changed_by text, p_reason text
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '2s'
SET "TimeZone" = 'UTC'
SET "DateStyle" = 'ISO, YMD'
AS $$
DECLARE
    first_month CONSTANT timestamptz := event_store_month_start(p_month);
    floor_from timestamptz;
    tenant_table regclass;
    found_phase text;
    waiting record;
    restored integer := 0;
BEGIN
    PERFORM event_store_check_tenant_id(p_tenant_id);
    PERFORM event_store_lock_partitions(p_tenant_id);
    SELECT tenant.tenant_table INTO tenant_table
    FROM event_store_partition_tenant(p_tenant_id) AS tenant
    WHERE tenant.state = 'attached';

    IF tenant_table IS NULL
        OR NOT EXISTS (
            SELECT FROM event_store_detached AS asked
            WHERE asked.tenant_id = p_tenant_id AND asked.range_start = first_month AND asked.dropped_at IS NULL
        )
        OR EXISTS (
            SELECT FROM event_store_detached AS gone
            WHERE gone.tenant_id = p_tenant_id AND gone.range_start >= first_month AND gone.dropped_at IS NOT NULL
        )
    THEN
        RAISE EXCEPTION 'month % of tenant "%" cannot be restored', to_char(first_month, 'YYYY-MM'), p_tenant_id
            USING ERRCODE = 'no_data_found',
                  HINT = 'it is not detached, or it or a later month is dropped; event_store_detached shows which';
    END IF;

    -- Shared, so that the phase stays what it is until all of this is done.
    SELECT control.phase INTO found_phase FROM event_store_control AS control FOR SHARE;
    IF found_phase IN ('finalized', 'restoring') AND event_store_legacy_holds_more(p_tenant_id, first_month) THEN
        RAISE EXCEPTION 'event_store has events of tenant "%" since month % that no partition ever had',
            p_tenant_id, to_char(first_month, 'YYYY-MM')
            USING ERRCODE = 'PTM01',
                  HINT = 'legacy is not read in this phase: go back to open first (partita migration restore), then restore the month';
    END IF;

    FOR waiting IN
        SELECT detached.id, detached.partition_name, detached.range_start, detached.range_end
        FROM event_store_detached AS detached
        WHERE detached.tenant_id = p_tenant_id AND detached.range_start >= first_month AND detached.dropped_at IS NULL
        ORDER BY detached.range_start
        FOR UPDATE
    LOOP
        EXECUTE format(
            'ALTER TABLE %s ATTACH PARTITION event_store_partitions.%I FOR VALUES FROM (%L) TO (%L)',
            tenant_table, waiting.partition_name, waiting.range_start, waiting.range_end
        );
        DELETE FROM event_store_detached AS detached WHERE detached.id = waiting.id;
        restored := restored + 1;
    END LOOP;

    -- The row that appends wait for last, when nothing is left to be waited for.
    SELECT tenant.retention_floor INTO floor_from
    FROM event_store_tenant AS tenant
    WHERE tenant.tenant_id = p_tenant_id
    FOR UPDATE;
    IF floor_from > first_month THEN
        -- What was proved, and what was copied, was so above the old floor.
        UPDATE event_store_tenant AS tenant
        SET retention_floor = first_month,
            verified_at = CASE WHEN found_phase IN ('open', 'fenced') THEN NULL ELSE tenant.verified_at END,
            backfilled_at = CASE WHEN found_phase IN ('open', 'fenced') THEN NULL ELSE tenant.backfilled_at END
        WHERE tenant.tenant_id = p_tenant_id;
        INSERT INTO event_store_floor_change (tenant_id, changed_by, reason, floor_from, floor_to)
        VALUES (p_tenant_id, p_changed_by, p_reason, floor_from, first_month);
    END IF;
    RETURN restored;
END
$$;

COMMENT ON FUNCTION public.event_store_restore_month(text, timestamptz, text, text) IS
    'Attaches the detached months of a tenant from this UTC month on, lowers its floor to it and writes down who did it and why; P0002 where one of them is dropped; PTM01 where legacy is not read and has events that the months lack. While both tables are read, the tenant is to be backfilled and verified anew. The next run of maintenance expires them again unless retention or a legal hold keeps them.';

REVOKE EXECUTE ON FUNCTION
    public.event_store_kept_rows(text, timestamptz, bigint, bigint),
    public.event_store_count_uncopied(text, timestamptz, boolean)
FROM PUBLIC;

CREATE OR REPLACE FUNCTION public.event_store_grant_backfill() RETURNS void
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
        PERFORM event_store_grant(
            'EXECUTE',
            'FUNCTION public.event_store_create_month(text, timestamptz), '
            'public.event_store_kept_rows(text, timestamptz, bigint, bigint), '
            'public.event_store_count_uncopied(text, timestamptz, boolean)',
            grantee
        );
    END LOOP;
END
$$;

SELECT public.event_store_grant_backfill();
