-- Why:   months that were detached wait to be restored or dropped: which, of whom, since when and until when. What was
--        dropped stays written down, so that a restore cannot leave a hole.
-- Lock:  none that anybody waits for: the table is new. When called: those that stand with each function.
-- Time:  milliseconds.
-- Phase: before dual.
CREATE TABLE public.event_store_detached (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id varchar(255) NOT NULL,
    partition_name text NOT NULL,
    range_start timestamptz NOT NULL,
    range_end timestamptz NOT NULL,
    detached_at timestamptz NOT NULL DEFAULT now(),
    drop_after timestamptz NOT NULL,
    dropped_at timestamptz,
    CONSTRAINT event_store_detached_pkey PRIMARY KEY (id),
    CONSTRAINT event_store_detached_range_ordered CHECK (range_start < range_end)
);

-- A name is used again once its table is gone.
CREATE UNIQUE INDEX event_store_detached_waiting_key ON public.event_store_detached (partition_name)
WHERE dropped_at IS NULL;
CREATE INDEX event_store_detached_tenant_idx ON public.event_store_detached (tenant_id, range_start);

COMMENT ON TABLE public.event_store_detached IS 'one row a month that was detached: waiting, or dropped since';
COMMENT ON COLUMN public.event_store_detached.partition_name IS 'bare name of the table in schema event_store_partitions';
COMMENT ON COLUMN public.event_store_detached.detached_at IS 'when it was detached; for one that nobody wrote down then, when it was found';
COMMENT ON COLUMN public.event_store_detached.drop_after IS 'until then it is kept, and restorable';
COMMENT ON COLUMN public.event_store_detached.dropped_at IS 'when its table was dropped; NULL while it waits';

-- Tables of months that hang on nothing: found by what the catalogue says of them, whoever detached them. The bounds went
-- with the detach; the name that Partita gave still says the month, and ATTACH proves it.
CREATE FUNCTION public.event_store_detached_leaf(p_tenant_id text)
RETURNS TABLE (partition_name text, range_start timestamptz, range_end timestamptz)
LANGUAGE sql STABLE ROWS 5
SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH loose AS (
        SELECT
            relation.relname::text AS partition_name,
            regexp_match(relation.relname::text, '_([0-9]{4})_(0[1-9]|1[0-2])(?:_[0-9]+)?$') AS month
        FROM event_store_tenant AS tenant
        -- A range of names, for the index: t7_ and all that begins with it.
        JOIN pg_class AS relation
            ON relation.relname >= ('t' || tenant.tenant_number || '_')::name
            AND relation.relname < ('t' || tenant.tenant_number || '`')::name
        WHERE tenant.tenant_id = p_tenant_id
            AND relation.relnamespace = 'event_store_partitions'::regnamespace
            AND relation.relkind = 'r'
            AND NOT relation.relispartition
            AND obj_description(relation.oid, 'pg_class') = p_tenant_id
    )
    SELECT
        loose.partition_name,
        make_timestamptz(loose.month[1]::integer, loose.month[2]::integer, 1, 0, 0, 0, 'UTC'),
        make_timestamptz(loose.month[1]::integer, loose.month[2]::integer, 1, 0, 0, 0, 'UTC') + interval '1 month'
    FROM loose
    WHERE loose.month IS NOT NULL
$$;
ALTER FUNCTION public.event_store_detached_leaf(text) SET "TimeZone" = 'UTC';

COMMENT ON FUNCTION public.event_store_detached_leaf(text) IS
    'Months of a tenant that are detached, by the catalogue: tables in event_store_partitions with its number and COMMENT that are no partition.';

-- The catalogue is right, the registry follows: whatever was interrupted between a step and its being written down.
CREATE FUNCTION public.event_store_register_detached(p_tenant_id text, p_grace_days integer) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    found integer;
BEGIN
    PERFORM event_store_lock_partitions(p_tenant_id);
    UPDATE event_store_detached AS waiting
    SET dropped_at = now()
    WHERE waiting.tenant_id = p_tenant_id
        AND waiting.dropped_at IS NULL
        AND to_regclass(format('event_store_partitions.%I', waiting.partition_name)) IS NULL;

    -- Attached again, by hand.
    DELETE FROM event_store_detached AS waiting
    WHERE waiting.tenant_id = p_tenant_id
        AND waiting.dropped_at IS NULL
        AND NOT EXISTS (
            SELECT FROM event_store_detached_leaf(p_tenant_id) AS loose
            WHERE loose.partition_name = waiting.partition_name
        );

    INSERT INTO event_store_detached (tenant_id, partition_name, range_start, range_end, drop_after)
    SELECT p_tenant_id, loose.partition_name, loose.range_start, loose.range_end, now() + make_interval(days => p_grace_days)
    FROM event_store_detached_leaf(p_tenant_id) AS loose
    ON CONFLICT (partition_name) WHERE dropped_at IS NULL DO NOTHING;
    GET DIAGNOSTICS found = ROW_COUNT;
    RETURN found;
END
$$;

COMMENT ON FUNCTION public.event_store_register_detached(text, integer) IS
    'Brings the registry of a tenant''s detached months in line with the catalogue; returns how many it did not know, which are kept for p_grace_days from now.';

-- ACCESS EXCLUSIVE on the detached table alone. Asked again under the row's lock: a hold set meanwhile, a restore or a
-- floor that came down saves the month.
CREATE FUNCTION public.event_store_drop_detached(p_tenant_id text, p_partition_name text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    doomed bigint;
BEGIN
    PERFORM event_store_lock_partitions(p_tenant_id);
    SELECT waiting.id INTO doomed
    FROM event_store_detached AS waiting
    JOIN event_store_tenant AS tenant ON tenant.tenant_id = waiting.tenant_id
    JOIN event_store_detached_leaf(p_tenant_id) AS loose ON loose.partition_name = waiting.partition_name
    WHERE waiting.tenant_id = p_tenant_id
        AND waiting.partition_name = p_partition_name
        AND waiting.dropped_at IS NULL
        AND waiting.drop_after <= now()
        AND waiting.range_end <= tenant.retention_floor
        AND NOT tenant.legal_hold
    FOR UPDATE OF waiting;
    IF NOT FOUND THEN
        RETURN false;
    END IF;

    EXECUTE format('DROP TABLE event_store_partitions.%I', p_partition_name);
    UPDATE event_store_detached AS waiting SET dropped_at = now() WHERE waiting.id = doomed;
    RETURN true;
END
$$;

COMMENT ON FUNCTION public.event_store_drop_detached(text, text) IS
    'Drops a detached month whose grace period is over and that lies below its tenant''s floor; false, and nothing done, where it does not or the tenant is under legal hold.';
