-- Why:   maintenance for psql and for the service's first-write path: create what is missing, raise the floor, drop what
--        lies below it. They carry out event_store_partition_plan (0008) with the builders (0009).
-- Lock:  to create them: none. When called: that of the builders; a month below the floor is dropped under ACCESS EXCLUSIVE
--        on its tenant's table and the leaf alone, given up after 0.5 s with a WARNING.
-- Time:  milliseconds; a call with nothing to do takes no lock and a few milliseconds.
-- Phase: before dual.

CREATE FUNCTION public.event_store_create_missing_months(
    p_tenant_id text, p_months_ahead integer, p_retention_months integer
) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- The lock first, the plan after it: what another session has just built is no longer missing.
    PERFORM event_store_lock_partitions(p_tenant_id);
    PERFORM event_store_register_tenant(p_tenant_id);
    RETURN event_store_create_months(
        p_tenant_id,
        ARRAY(
            SELECT step.range_start
            FROM event_store_partition_plan(p_tenant_id, p_months_ahead, p_retention_months) AS step
            WHERE step.action = 'create_month'
        )
    );
END
$$;

COMMENT ON FUNCTION public.event_store_create_missing_months(text, integer, integer) IS
    'The creating half of ensure_event_store_partition; returns how many leaves it created.';

-- A drop needs the tenant's table and its row. Appends take them in either order (one statement locks the table as it is
-- planned and then meets the row; several statements begin with the row), so both are tried, and what is held is let go
-- between. 250 ms is well below the default deadlock_timeout (1 s): it is maintenance that gives way, never an append.
CREATE FUNCTION public.event_store_lock_for_drop(p_tenant_id text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '250ms'
AS $$
DECLARE
    tenant_table CONSTANT regclass := (SELECT tenant.tenant_table FROM event_store_partition_tenant(p_tenant_id) AS tenant);
BEGIN
    BEGIN
        EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', tenant_table);
        PERFORM FROM event_store_tenant AS tenant WHERE tenant.tenant_id = p_tenant_id FOR UPDATE;
    EXCEPTION WHEN lock_not_available THEN
        PERFORM FROM event_store_tenant AS tenant WHERE tenant.tenant_id = p_tenant_id FOR UPDATE;
        EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', tenant_table);
    END;
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RAISE WARNING 'months of tenant "%" are not dropped: table % is in use', p_tenant_id, tenant_table
        USING HINT = 'the next run drops them; pg_stat_activity shows who holds the table open';
    RETURN false;
END
$$;

COMMENT ON FUNCTION public.event_store_lock_for_drop(text) IS
    'Takes a tenant''s table (ACCESS EXCLUSIVE) and row until the end of the transaction; false, with a WARNING, where neither order gets them.';

CREATE FUNCTION public.event_store_apply_retention(p_tenant_id text, p_retention_months integer) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '500ms'
AS $$
DECLARE
    pending text[];
    doomed text[];
    new_floor timestamptz;
    may_drop boolean;
    partition text;
    dropped integer := 0;
BEGIN
    PERFORM event_store_lock_partitions(p_tenant_id);
    SELECT
        coalesce(array_agg(step.partition_name) FILTER (WHERE step.action = 'finalize'), '{}'),
        coalesce(array_agg(step.partition_name ORDER BY step.range_start) FILTER (WHERE step.action = 'drop_month'), '{}'),
        max(step.range_end) FILTER (WHERE step.action = 'raise_floor')
    INTO pending, doomed, new_floor
    FROM event_store_partition_plan(p_tenant_id, 0, p_retention_months) AS step;

    FOREACH partition IN ARRAY pending LOOP
        -- A detach waits for every older transaction: a long report must not keep this tenant from its other steps.
        BEGIN
            PERFORM event_store_finalize_detach(partition);
        EXCEPTION WHEN lock_not_available THEN
            RAISE WARNING 'partition "%" is still being detached: an older transaction is open', partition
                USING HINT = 'the next run finishes it';
        END;
    END LOOP;

    -- Locks before the floor, for their order; the floor before the drop, and also where nothing can be dropped yet.
    may_drop := cardinality(doomed) > 0 AND event_store_lock_for_drop(p_tenant_id);
    UPDATE event_store_tenant AS tenant
    SET retention_floor = new_floor
    WHERE tenant.tenant_id = p_tenant_id AND tenant.retention_floor < new_floor AND NOT tenant.legal_hold;

    IF may_drop THEN
        FOREACH partition IN ARRAY doomed LOOP
            dropped := dropped + event_store_drop_month(p_tenant_id, partition)::integer;
        END LOOP;
    END IF;
    RETURN dropped;
END
$$;

COMMENT ON FUNCTION public.event_store_apply_retention(text, integer) IS
    'The other half of ensure_event_store_partition: finishes interrupted detaches, raises the floor, drops what lies below; returns how many leaves it dropped.';

CREATE FUNCTION public.event_store_drop_month(p_tenant_id text, p_partition_name text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '500ms'
AS $$
DECLARE
    doomed record;
BEGIN
    -- Asked again under the row's lock: a hold set since the plan was made still saves the month.
    SELECT inherits.inhparent::regclass AS parent, leaf.leaf::regclass AS child INTO doomed
    FROM event_store_tenant AS tenant
    JOIN event_store_partition_leaf(p_tenant_id) AS leaf ON leaf.range_end <= tenant.retention_floor
    JOIN pg_inherits AS inherits ON inherits.inhrelid = leaf.leaf
    WHERE tenant.tenant_id = p_tenant_id
        AND NOT tenant.legal_hold
        AND leaf.partition_name = p_partition_name
        AND leaf.state = 'attached'
    FOR UPDATE OF tenant;
    IF NOT FOUND THEN
        RETURN false;
    END IF;

    EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', doomed.parent, doomed.child);
    EXECUTE format('DROP TABLE %s', doomed.child);
    RETURN true;
END
$$;

COMMENT ON FUNCTION public.event_store_drop_month(text, text) IS
    'Detaches and drops one leaf that lies wholly below its tenant''s floor; false, and nothing done, where it does not or the tenant is under legal hold.';

CREATE FUNCTION public.ensure_event_store_partition(
    tenant_id text, months_ahead integer DEFAULT 2, retention_months integer DEFAULT 18
) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    created integer;
BEGIN
    -- Nothing to do is the common answer, and takes no lock.
    IF NOT EXISTS (SELECT FROM event_store_partition_plan(tenant_id, months_ahead, retention_months)) THEN
        RETURN 0;
    END IF;

    created := event_store_create_missing_months(tenant_id, months_ahead, retention_months);
    -- A month that cannot go yet must not take back the months that a writer waits for.
    BEGIN
        RETURN created + event_store_apply_retention(tenant_id, retention_months);
    EXCEPTION WHEN lock_not_available THEN
        RAISE WARNING 'retention of tenant "%" is put off: %', tenant_id, SQLERRM USING HINT = 'the next run tries again';
        RETURN created;
    END;
END
$$;

COMMENT ON FUNCTION public.ensure_event_store_partition(text, integer, integer) IS
    'Creates a tenant''s missing months (the previous, the current, months_ahead more), raises its floor to retention_months (0 or NULL: keeps for ever) and drops the months below; returns how many leaves it created or dropped.';
