-- Why:   a floor only rises, but for one command that restores detached months; each use of it is written down.
-- Lock:  none that anybody waits for: the table is new. When called: SHARE UPDATE EXCLUSIVE on the tenant's table and ACCESS
--        EXCLUSIVE on the detached ones, then the tenant's row for a moment; given up after 2 s with 55P03.
-- Time:  milliseconds; when called, a scan of each month that was not detached concurrently.
-- Phase: before dual.
CREATE TABLE public.event_store_floor_change (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id varchar(255) NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by varchar(255) NOT NULL,
    reason text NOT NULL,
    floor_from timestamptz NOT NULL,
    floor_to timestamptz NOT NULL,
    CONSTRAINT event_store_floor_change_pkey PRIMARY KEY (id),
    CONSTRAINT event_store_floor_change_by_not_empty CHECK (changed_by <> ''),
    CONSTRAINT event_store_floor_change_reason_not_empty CHECK (reason <> '')
);
CREATE INDEX event_store_floor_change_tenant_idx ON public.event_store_floor_change (tenant_id, changed_at);

COMMENT ON TABLE public.event_store_floor_change IS 'one row a floor that was lowered: who, when, why, from where, to where';

-- All months from the one asked for to the floor come back, or none: between months that are there, none may be gone.
CREATE FUNCTION public.event_store_restore_month(
    p_tenant_id text, p_month timestamptz, p_changed_by text, p_reason text
) RETURNS integer
LANGUAGE plpgsql
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
