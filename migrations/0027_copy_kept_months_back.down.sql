-- Why:   takes back the copy of detached months, and the decisions to leave rows behind. Refuses while such a row is there:
--        the migrations below this one tell what legacy has by ids, and would drop it.
-- Lock:  ACCESS EXCLUSIVE on event_store_quarantine, given up after 2 s.
-- Time:  milliseconds, and a probe of an index a row that was left behind.
-- Phase: legacy or dual.
SET LOCAL lock_timeout = '2s';

DO $migration$
DECLARE
    found_phase text;
BEGIN
    SELECT control.phase INTO found_phase FROM public.event_store_control AS control;
    IF found_phase <> 'open' THEN
        RAISE EXCEPTION 'the phase is %: the way back from finalized stays', found_phase
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'go back to open first (partita migration unfence, or restore), then go down again';
    END IF;
    IF EXISTS (
        SELECT
        FROM public.event_store_quarantine AS row
        JOIN public.event_store_partitioned AS copy
            ON copy.tenant_id = row.tenant_id
            AND copy.event_id = row.event_id::uuid
            AND copy.event_timestamp = row.event_timestamp::timestamptz
        WHERE row.direction = 'restore'
    ) THEN
        RAISE EXCEPTION 'event_store_partitioned holds events that event_store does not: they were left behind by a restore'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'event_store_quarantine names them; docs/operations/rollback.md says how to keep them';
    END IF;
END
$migration$;

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
        PERFORM event_store_grant('EXECUTE', 'FUNCTION public.event_store_create_month(text, timestamptz)', grantee);
    END LOOP;
END
$$;

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
        UPDATE event_store_tenant AS tenant SET retention_floor = first_month WHERE tenant.tenant_id = p_tenant_id;
        INSERT INTO event_store_floor_change (tenant_id, changed_by, reason, floor_from, floor_to)
        VALUES (p_tenant_id, p_changed_by, p_reason, floor_from, first_month);
    END IF;
    RETURN restored;
END
$$;

COMMENT ON FUNCTION public.event_store_restore_month(text, timestamptz, text, text) IS
    'Attaches the detached months of a tenant from this UTC month on, lowers its floor to it and writes down who did it and why; P0002 where one of them is dropped. The next run of maintenance expires them again unless retention or a legal hold keeps them.';

DROP FUNCTION public.event_store_legacy_holds_more(text, timestamptz);
DROP FUNCTION public.event_store_count_uncopied(text, timestamptz, boolean);
DROP FUNCTION public.event_store_kept_rows(text, timestamptz, bigint, bigint);
DROP FUNCTION public.event_store_kept_leaf(text);
ALTER TABLE public.event_store_quarantine
    DROP CONSTRAINT event_store_quarantine_accepted_whole,
    DROP COLUMN accepted_at,
    DROP COLUMN accepted_by,
    DROP COLUMN accept_reason;
