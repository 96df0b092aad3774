-- Why:   functions that build partitions while everybody writes: CREATE TABLE (LIKE …), then ATTACH. Never CREATE TABLE …
--        PARTITION OF, which takes ACCESS EXCLUSIVE on the parent and stalls every writer behind it.
-- Lock:  to create them: none. When called: SHARE UPDATE EXCLUSIVE on the tenant's table (a month) or on the root (a new
--        tenant), which reads and writes do not meet; given up after 2 s with 55P03, which means: try again.
-- Time:  milliseconds; 3 to 8 ms a month when called.
-- Phase: before dual.

-- Single flight per tenant, across sessions, until the transaction ends. DDL only: the append path never asks.
CREATE FUNCTION public.event_store_lock_partitions(p_tenant_id text, p_wait boolean DEFAULT true) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    lock_class CONSTANT integer := x'70727461'::integer; -- "prta": advisory locks are shared with the rest of the database
BEGIN
    IF p_wait THEN
        PERFORM pg_advisory_xact_lock(lock_class, hashtext(p_tenant_id));
        RETURN true;
    END IF;
    RETURN pg_try_advisory_xact_lock(lock_class, hashtext(p_tenant_id));
END
$$;

COMMENT ON FUNCTION public.event_store_lock_partitions(text, boolean) IS
    'Takes the lock of a tenant''s partitions until the end of the transaction; false when it is held elsewhere and p_wait is false.';

-- The caller holds the tenant's lock. Looks before it inserts, so that a known tenant burns no number.
CREATE FUNCTION public.event_store_register_tenant(p_tenant_id text) RETURNS public.event_store_tenant
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '2s'
-- A generic plan of the query on event_store_partitioned would lock every partition of every tenant.
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    registered event_store_tenant;
    new_number integer;
BEGIN
    SELECT tenant.* INTO registered FROM event_store_tenant AS tenant WHERE tenant.tenant_id = p_tenant_id;
    IF FOUND THEN
        RETURN registered;
    END IF;

    -- Counters begin at what is stored: nothing for a new tenant, and never a position twice should the registry be lost.
    new_number := nextval(pg_get_serial_sequence('public.event_store_tenant', 'tenant_number'));
    INSERT INTO event_store_tenant (tenant_id, tenant_number, partition_name, last_position, history_position)
    OVERRIDING SYSTEM VALUE
    SELECT
        p_tenant_id,
        new_number,
        coalesce(
            (SELECT found.partition_name FROM event_store_partition_tenant(p_tenant_id) AS found WHERE found.state = 'attached'),
            't' || new_number
        ),
        greatest(max(stored.position), 0),
        least(min(stored.position), 0)
    FROM event_store_partitioned AS stored
    WHERE stored.tenant_id = p_tenant_id
    ON CONFLICT ON CONSTRAINT event_store_tenant_pkey DO NOTHING;

    SELECT tenant.* INTO registered FROM event_store_tenant AS tenant WHERE tenant.tenant_id = p_tenant_id;
    RETURN registered;
END
$$;

COMMENT ON FUNCTION public.event_store_register_tenant(text) IS 'The tenant''s row in the registry, made if there is none.';

CREATE FUNCTION public.event_store_finalize_detach(p_partition_name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    pending record;
BEGIN
    FOR pending IN
        SELECT inherits.inhparent::regclass AS parent, inherits.inhrelid::regclass AS child
        FROM pg_inherits AS inherits
        JOIN pg_class AS relation ON relation.oid = inherits.inhrelid
        WHERE inherits.inhdetachpending
            AND relation.relname = p_partition_name
            AND relation.relnamespace = 'event_store_partitions'::regnamespace
    LOOP
        EXECUTE format('ALTER TABLE %s DETACH PARTITION %s FINALIZE', pending.parent, pending.child);
    END LOOP;
END
$$;

COMMENT ON FUNCTION public.event_store_finalize_detach(text) IS
    'Finishes a DETACH … CONCURRENTLY that was interrupted; waits for transactions that began before it. The table stays, detached.';

-- The tenant's own table, not yet attached: nobody sees it, or waits for it, while its months are built.
CREATE FUNCTION public.event_store_create_tenant_table(p_tenant public.event_store_tenant) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    tenant_table CONSTANT text := event_store_free_partition_name(p_tenant.partition_name);
BEGIN
    EXECUTE format(
        'CREATE TABLE event_store_partitions.%I ('
        ' LIKE public.event_store_partitioned INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION,'
        ' CONSTRAINT %I PRIMARY KEY (tenant_id, event_id, event_timestamp)'
        ') PARTITION BY RANGE (event_timestamp)',
        tenant_table, tenant_table || '_pkey'
    );
    EXECUTE format('COMMENT ON TABLE event_store_partitions.%I IS %L', tenant_table, p_tenant.tenant_id);

    UPDATE event_store_tenant AS tenant
    SET partition_name = tenant_table
    WHERE tenant.tenant_id = p_tenant.tenant_id AND tenant.partition_name <> tenant_table;
    RETURN tenant_table;
END
$$;

COMMENT ON FUNCTION public.event_store_create_tenant_table(public.event_store_tenant) IS
    'Builds a tenant''s table without attaching it, and returns its name; the registry learns a name that had to differ.';

-- One leaf, built and attached to its tenant's table.
CREATE FUNCTION public.event_store_create_leaf(p_tenant_table text, p_tenant_id text, p_month timestamptz) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '2s'
SET "TimeZone" = 'UTC'
SET "DateStyle" = 'ISO, YMD'
AS $$
DECLARE
    leaf CONSTANT text := event_store_month_partition_name(p_tenant_table, p_month);
BEGIN
    EXECUTE format(
        'CREATE TABLE event_store_partitions.%I ('
        ' LIKE public.event_store_partitioned INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION,'
        ' CONSTRAINT %I PRIMARY KEY (tenant_id, event_id, event_timestamp),'
        ' CONSTRAINT %I UNIQUE (tenant_id, aggregate_type, aggregate_id, aggregate_version),'
        ' CONSTRAINT %I UNIQUE (tenant_id, position))',
        leaf, leaf || '_pkey', leaf || '_version_key', leaf || '_position_key'
    );
    EXECUTE format('COMMENT ON TABLE event_store_partitions.%I IS %L', leaf, p_tenant_id);
    EXECUTE format(
        'ALTER TABLE event_store_partitions.%I ATTACH PARTITION event_store_partitions.%I FOR VALUES FROM (%L) TO (%L)',
        p_tenant_table, leaf, p_month, p_month + interval '1 month'
    );
END
$$;

-- All months of one call, then a new tenant's table is attached to the root: once, last, complete.
CREATE FUNCTION public.event_store_create_months(p_tenant_id text, p_months timestamptz[]) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '2s'
SET "TimeZone" = 'UTC'
AS $$
DECLARE
    registered event_store_tenant;
    tenant_table text;
    is_new boolean;
    month timestamptz;
    is_present boolean;
    pending text;
    overlapping record;
    created integer := 0;
BEGIN
    PERFORM event_store_check_tenant_id(p_tenant_id);
    FOREACH month IN ARRAY coalesce(p_months, '{}') LOOP
        -- Years of four digits: what a partition's name can say.
        IF month IS NULL OR month < '0001-01-01' OR month >= '9999-12-01' THEN
            RAISE EXCEPTION 'month is %, must lie in the years 1 to 9999', coalesce(month::text, 'null')
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END LOOP;

    PERFORM event_store_lock_partitions(p_tenant_id);
    registered := event_store_register_tenant(p_tenant_id);

    FOR pending IN
        SELECT tenant.partition_name FROM event_store_partition_tenant(p_tenant_id) AS tenant WHERE tenant.state = 'pending'
    LOOP
        PERFORM event_store_finalize_detach(pending);
    END LOOP;

    SELECT tenant.partition_name INTO tenant_table FROM event_store_partition_tenant(p_tenant_id) AS tenant;
    is_new := NOT FOUND;

    FOR month IN
        SELECT DISTINCT event_store_month_start(wanted.month) AS month_start
        FROM unnest(p_months) AS wanted (month)
        ORDER BY month_start
    LOOP
        IF month + interval '1 month' <= registered.retention_floor THEN
            RAISE EXCEPTION 'month % of tenant "%" lies below its retention floor %',
                to_char(month, 'YYYY-MM'), p_tenant_id, registered.retention_floor
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = 'its events are gone and do not come back; ask for a month from the floor on';
        END IF;

        is_present := false;
        FOR overlapping IN
            SELECT leaf.partition_name, leaf.state
            FROM event_store_partition_leaf(p_tenant_id) AS leaf
            WHERE coalesce(leaf.range_start, '-infinity') < month + interval '1 month'
                AND coalesce(leaf.range_end, 'infinity') > month
        LOOP
            IF overlapping.state = 'attached' THEN
                is_present := true;
            ELSE
                -- A month that is on its way out keeps its bounds until its detach is finished.
                PERFORM event_store_finalize_detach(overlapping.partition_name);
            END IF;
        END LOOP;
        CONTINUE WHEN is_present;

        IF tenant_table IS NULL THEN
            tenant_table := event_store_create_tenant_table(registered);
        END IF;
        PERFORM event_store_create_leaf(tenant_table, p_tenant_id, month);
        created := created + 1;
    END LOOP;

    IF is_new AND tenant_table IS NOT NULL THEN
        EXECUTE format(
            'ALTER TABLE public.event_store_partitioned ATTACH PARTITION event_store_partitions.%I FOR VALUES IN (%L)',
            tenant_table, p_tenant_id
        );
    END IF;
    RETURN created;
END
$$;

COMMENT ON FUNCTION public.event_store_create_months(text, timestamptz[]) IS
    'Creates the leaves that are missing for these UTC months, and the tenant where it is new; returns how many leaves it created.';

CREATE FUNCTION public.event_store_create_month(p_tenant_id text, p_month timestamptz) RETURNS boolean
LANGUAGE sql
SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT event_store_create_months(p_tenant_id, ARRAY[p_month]) > 0
$$;

COMMENT ON FUNCTION public.event_store_create_month(text, timestamptz) IS
    'Creates the leaf for the UTC month that p_month lies in; true when it was this call that created it.';
