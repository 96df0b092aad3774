-- Why:   retention and legal holds by command, and the purge of what has expired from the legacy table; each with who did
--        it, when and why.
-- Lock:  none that anybody waits for: the table is new. When called: a tenant's partition lock and row, for a moment, given
--        up after 2 s with 55P03; a batch of a purge takes the locks of its own rows.
-- Time:  milliseconds; when called to purge, as long as deleting the batch.
-- Phase: before dual. A purge is meant for dual: before it, the legacy table is all there is.
CREATE TABLE public.event_store_retention_change (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id varchar(255) NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by varchar(255) NOT NULL,
    reason text NOT NULL,
    action text NOT NULL,
    months_from integer,
    months_to integer,
    rows_purged bigint,
    CONSTRAINT event_store_retention_change_pkey PRIMARY KEY (id),
    CONSTRAINT event_store_retention_change_action_known CHECK (action IN ('retention', 'hold', 'release', 'purge_legacy')),
    CONSTRAINT event_store_retention_change_by_not_empty CHECK (changed_by <> ''),
    CONSTRAINT event_store_retention_change_reason_not_empty CHECK (reason <> '')
);
CREATE INDEX event_store_retention_change_tenant_idx ON public.event_store_retention_change (tenant_id, changed_at);

COMMENT ON TABLE public.event_store_retention_change IS
    'one row a command on a tenant''s retention: who, when, why; lowered floors stand in event_store_floor_change';
COMMENT ON COLUMN public.event_store_retention_change.months_from IS 'retention: the override before, NULL for none';
COMMENT ON COLUMN public.event_store_retention_change.months_to IS 'retention: the override from then on, NULL for none';
COMMENT ON COLUMN public.event_store_retention_change.rows_purged IS 'purge_legacy: rows deleted so far, written with each batch';

-- Changes what the next floor is derived from, and nothing else: the floor itself is raised by maintenance alone.
CREATE FUNCTION public.event_store_set_retention(
    p_tenant_id text, p_months integer, p_changed_by text, p_reason text
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    months_from integer;
BEGIN
    PERFORM event_store_check_tenant_id(p_tenant_id);
    PERFORM event_store_check_limits(0, p_months);
    PERFORM event_store_lock_partitions(p_tenant_id);
    SELECT tenant.retention_months INTO months_from
    FROM event_store_tenant AS tenant
    WHERE tenant.tenant_id = p_tenant_id
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'tenant "%" is not registered', p_tenant_id
            USING ERRCODE = 'no_data_found', HINT = 'ensure_event_store_partition registers it';
    END IF;
    UPDATE event_store_tenant AS tenant SET retention_months = p_months WHERE tenant.tenant_id = p_tenant_id;
    INSERT INTO event_store_retention_change (tenant_id, changed_by, reason, action, months_from, months_to)
    VALUES (p_tenant_id, p_changed_by, p_reason, 'retention', months_from, p_months);
END
$$;

COMMENT ON FUNCTION public.event_store_set_retention(text, integer, text, text) IS
    'Sets how many months a tenant keeps (0: for ever; NULL: what maintenance is configured with) and writes down who did it and why. A floor that was raised stays where it is.';

-- Under the lock that every drop takes: once this has committed, no month of the tenant goes.
CREATE FUNCTION public.event_store_set_legal_hold(
    p_tenant_id text, p_hold boolean, p_changed_by text, p_reason text
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '2s'
AS $$
BEGIN
    PERFORM event_store_check_tenant_id(p_tenant_id);
    PERFORM event_store_lock_partitions(p_tenant_id);
    UPDATE event_store_tenant AS tenant SET legal_hold = p_hold WHERE tenant.tenant_id = p_tenant_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'tenant "%" is not registered', p_tenant_id
            USING ERRCODE = 'no_data_found', HINT = 'ensure_event_store_partition registers it';
    END IF;
    INSERT INTO event_store_retention_change (tenant_id, changed_by, reason, action)
    VALUES (p_tenant_id, p_changed_by, p_reason, CASE WHEN p_hold THEN 'hold' ELSE 'release' END);
END
$$;

COMMENT ON FUNCTION public.event_store_set_legal_hold(text, boolean, text, text) IS
    'Puts a tenant under legal hold or releases it, and writes down who did it and why. Under a hold its floor stays and nothing of it is dropped or purged.';

-- Which rows of the legacy table may go: those below the floor whose month is neither attached nor restorable, but for the
-- last event of each stream. Programs that write legacy count on from that one, as do processes with the flag off.
CREATE FUNCTION public.event_store_legacy_expired(
    p_tenant_id text, p_after timestamptz, p_after_id uuid, p_rows integer, p_restorable boolean, p_last_events boolean
)
RETURNS TABLE (event_id uuid, event_timestamp timestamptz, may_go boolean)
LANGUAGE sql STABLE ROWS 1000
SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
    WITH kept_month AS MATERIALIZED (
        SELECT leaf.range_start, leaf.range_end FROM event_store_partition_leaf(p_tenant_id) AS leaf
        UNION ALL
        SELECT detached.range_start, detached.range_end
        FROM event_store_detached AS detached
        WHERE detached.tenant_id = p_tenant_id AND detached.dropped_at IS NULL AND NOT p_restorable
    ),
    expired AS MATERIALIZED (
        SELECT
            event.event_id, event.event_timestamp, event.aggregate_type, event.aggregate_id, event.aggregate_version
        FROM event_store AS event
        WHERE event.tenant_id = p_tenant_id
            AND event.event_timestamp < (
                SELECT tenant.retention_floor FROM event_store_tenant AS tenant WHERE tenant.tenant_id = p_tenant_id
            )
            AND event.event_timestamp >= p_after
            AND (event.event_timestamp, event.event_id) > (p_after, p_after_id)
        ORDER BY event.event_timestamp, event.event_id
        LIMIT p_rows
    )
    SELECT
        expired.event_id,
        expired.event_timestamp,
        NOT EXISTS (
            SELECT FROM kept_month
            WHERE expired.event_timestamp >= kept_month.range_start AND expired.event_timestamp < kept_month.range_end
        )
        AND (
            EXISTS (
                SELECT FROM event_store AS later
                WHERE later.tenant_id = p_tenant_id
                    AND later.aggregate_type = expired.aggregate_type
                    AND later.aggregate_id = expired.aggregate_id
                    AND later.aggregate_version > expired.aggregate_version
            )
            OR (
                p_last_events
                AND EXISTS (
                    SELECT FROM event_store_stream AS stream
                    WHERE stream.tenant_id = p_tenant_id
                        AND stream.aggregate_type = expired.aggregate_type
                        AND stream.aggregate_id = expired.aggregate_id
                        AND stream.version >= expired.aggregate_version
                )
            )
        )
    FROM expired
    ORDER BY expired.event_timestamp, expired.event_id
$$;

COMMENT ON FUNCTION public.event_store_legacy_expired(text, timestamptz, uuid, integer, boolean, boolean) IS
    'The next rows of event_store below a tenant''s floor, by time and id, and of each whether a purge may take it: never one of a month that is attached, or restorable unless p_restorable; never a stream''s last event, unless p_last_events and event_store_stream covers it.';

-- One batch, one transaction. Under the tenant's lock no restore, hold or detach comes between the question and the DELETE.
CREATE FUNCTION public.event_store_purge_legacy(
    p_tenant_id text, p_after timestamptz, p_after_id uuid, p_rows integer, p_restorable boolean, p_last_events boolean,
    p_execute boolean, p_change bigint, p_changed_by text, p_reason text,
    OUT looked_at integer, OUT purged integer, OUT last_timestamp timestamptz, OUT last_id uuid, OUT change bigint
)
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    doomed uuid[];
    deleted integer;
BEGIN
    PERFORM event_store_check_tenant_id(p_tenant_id);
    IF NOT event_store_legacy_is_led_by_tenant() THEN
        RAISE EXCEPTION 'no index of public.event_store begins with tenant_id: each batch would read all of it'
            USING ERRCODE = 'feature_not_supported',
                  HINT = 'CREATE INDEX CONCURRENTLY event_store_tenant_time_idx ON public.event_store (tenant_id, event_timestamp)';
    END IF;
    PERFORM event_store_lock_partitions(p_tenant_id);
    change := p_change;
    looked_at := 0;
    purged := 0;
    PERFORM FROM event_store_tenant AS tenant WHERE tenant.tenant_id = p_tenant_id AND NOT tenant.legal_hold;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    SELECT
        count(*),
        coalesce(array_agg(expired.event_id) FILTER (WHERE expired.may_go), '{}'),
        (array_agg(expired.event_timestamp ORDER BY expired.event_timestamp DESC, expired.event_id DESC))[1],
        (array_agg(expired.event_id ORDER BY expired.event_timestamp DESC, expired.event_id DESC))[1]
    INTO looked_at, doomed, last_timestamp, last_id
    FROM event_store_legacy_expired(p_tenant_id, p_after, p_after_id, p_rows, p_restorable, p_last_events) AS expired;
    purged := cardinality(doomed);
    IF NOT p_execute OR purged = 0 THEN
        RETURN;
    END IF;

    DELETE FROM event_store AS event WHERE event.tenant_id = p_tenant_id AND event.event_id = ANY (doomed);
    GET DIAGNOSTICS deleted = ROW_COUNT;
    IF deleted < purged THEN
        -- A BEFORE trigger that returns NULL says nothing to anybody.
        RAISE EXCEPTION 'a trigger of public.event_store kept % of % rows', purged - deleted, purged
            USING ERRCODE = 'restrict_violation';
    END IF;

    IF change IS NULL THEN
        INSERT INTO event_store_retention_change (tenant_id, changed_by, reason, action, rows_purged)
        VALUES (p_tenant_id, p_changed_by, p_reason, 'purge_legacy', 0)
        RETURNING id INTO change;
    END IF;
    UPDATE event_store_retention_change AS recorded
    SET rows_purged = recorded.rows_purged + purged
    WHERE recorded.id = change;
END
$$;

COMMENT ON FUNCTION public.event_store_purge_legacy(text, timestamptz, uuid, integer, boolean, boolean, boolean, bigint, text, text) IS
    'One batch of a purge: looks at the next p_rows rows below the tenant''s floor and, with p_execute, deletes those that event_store_legacy_expired lets go. looked_at 0: there are no more, or the tenant is under legal hold. change: the row of the record, to be passed to the next batch.';

-- What may stand in the way of a DELETE, for the message that a refusal ends in.
CREATE FUNCTION public.event_store_legacy_delete_triggers() RETURNS SETOF text
LANGUAGE sql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT trigger.tgname::text
    FROM pg_trigger AS trigger
    WHERE trigger.tgrelid = 'public.event_store'::regclass
        AND NOT trigger.tgisinternal
        AND trigger.tgenabled IN ('O', 'A')
        AND trigger.tgtype & 8 = 8 -- DELETE
    ORDER BY trigger.tgname
$$;

COMMENT ON FUNCTION public.event_store_legacy_delete_triggers() IS
    'Triggers of event_store that fire on DELETE and are enabled.';
