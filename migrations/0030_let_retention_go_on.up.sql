-- Why:   retention went no further than the first thing in its way, and told less than it did. A month whose table is in use
--        kept the floor where it was, in psql. A month that psql dropped was not written down, so that an older one could be
--        restored in front of a hole. A restore did not see a month whose detach was under way. A tenant that the platform's
--        table `tenants` has lost, and Partita still keeps, was never maintained again.
-- Lock:  none to create it. When called: as before; a restore also finishes detaches, given up after 2 s with 55P03.
-- Time:  milliseconds.
-- Phase: any.

-- As before (0010), but a month whose own table is in use (by an autovacuum that may not give way, a REINDEX) takes back neither
-- the floor nor the months that were dropped before it.
CREATE OR REPLACE FUNCTION public.event_store_apply_retention(p_tenant_id text, p_retention_months integer) RETURNS integer
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
            BEGIN
                dropped := dropped + event_store_drop_month(p_tenant_id, partition)::integer;
            EXCEPTION WHEN lock_not_available THEN
                -- The tenant's writers wait meanwhile: for one such lock, not for one a month.
                RAISE WARNING 'partition "%" is not dropped: it is in use', partition
                    USING HINT = 'the next run drops it, and those after it; pg_stat_activity shows who holds it, an autovacuum perhaps';
                EXIT;
            END;
        END LOOP;
    END IF;
    RETURN dropped;
END
$$;

COMMENT ON FUNCTION public.event_store_apply_retention(text, integer) IS
    'The other half of ensure_event_store_partition: finishes interrupted detaches, raises the floor, drops what lies below up to the first leaf that is in use; returns how many leaves it dropped.';

-- As before (0010), and on the record.
CREATE OR REPLACE FUNCTION public.event_store_drop_month(p_tenant_id text, p_partition_name text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '500ms'
AS $$
DECLARE
    doomed record;
BEGIN
    -- Asked again under the row's lock: a hold set since the plan was made still saves the month.
    SELECT
        inherits.inhparent::regclass AS parent, leaf.leaf::regclass AS child,
        coalesce(leaf.range_start, '-infinity') AS range_start, leaf.range_end
    INTO doomed
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
    -- There is no grace period here, but a restore of an older month has to know that this one is gone.
    INSERT INTO event_store_detached (tenant_id, partition_name, range_start, range_end, drop_after, dropped_at)
    VALUES (p_tenant_id, p_partition_name, doomed.range_start, doomed.range_end, now(), now());
    RETURN true;
END
$$;

COMMENT ON FUNCTION public.event_store_drop_month(text, text) IS
    'Detaches and drops one leaf that lies wholly below its tenant''s floor, and writes it down in event_store_detached; false, and nothing done, where it does not or the tenant is under legal hold.';

-- As before (0026), but whoever is registered is maintained, also when the platform's table has forgotten him: his months expire
-- all the same. And a table `tenants` that this login may not read is none.
CREATE OR REPLACE FUNCTION public.event_store_known_tenants() RETURNS SETOF text
LANGUAGE plpgsql STABLE ROWS 500
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    id_column name;
    is_readable boolean;
BEGIN
    SELECT attribute.attname, has_column_privilege(attribute.attrelid, attribute.attnum, 'SELECT')
    INTO id_column, is_readable
    FROM pg_attribute AS attribute
    WHERE attribute.attrelid = to_regclass('public.tenants')
        AND attribute.attname IN ('tenant_id', 'id')
        AND attribute.attnum > 0
        AND NOT attribute.attisdropped
    ORDER BY attribute.attname = 'tenant_id' DESC
    LIMIT 1;
    IF is_readable THEN
        RETURN QUERY EXECUTE format(
            'SELECT %1$I::text COLLATE "C" FROM public.tenants WHERE %1$I IS NOT NULL '
            'UNION SELECT tenant.tenant_id::text COLLATE "C" FROM public.event_store_tenant AS tenant ORDER BY 1',
            id_column
        );
        RETURN;
    ELSIF NOT is_readable THEN
        RAISE NOTICE 'public.tenants is not readable by %: tenants are looked for in event_store', current_user
            USING HINT = format('GRANT SELECT (%I) ON public.tenants TO %I', id_column, current_user);
    END IF;

    IF event_store_row_security_binds('public.event_store') THEN
        RETURN QUERY SELECT tenant.tenant_id::text COLLATE "C" FROM event_store_tenant AS tenant ORDER BY 1;
        RETURN;
    END IF;

    IF NOT event_store_legacy_is_led_by_tenant() THEN
        RAISE NOTICE 'no index of public.event_store begins with tenant_id: only registered tenants are maintained'
            USING HINT = 'CREATE INDEX CONCURRENTLY event_store_tenant_time_idx ON public.event_store (tenant_id, event_timestamp)';
        RETURN QUERY SELECT tenant.tenant_id::text COLLATE "C" FROM event_store_tenant AS tenant ORDER BY 1;
        RETURN;
    END IF;

    RETURN QUERY
    WITH RECURSIVE skip_scan AS (
        (SELECT legacy.tenant_id FROM event_store AS legacy ORDER BY legacy.tenant_id LIMIT 1)
        UNION ALL
        SELECT (
            SELECT legacy.tenant_id
            FROM event_store AS legacy
            WHERE legacy.tenant_id > skip_scan.tenant_id
            ORDER BY legacy.tenant_id
            LIMIT 1
        )
        FROM skip_scan
        WHERE skip_scan.tenant_id IS NOT NULL
    )
    SELECT skip_scan.tenant_id::text COLLATE "C" FROM skip_scan WHERE skip_scan.tenant_id IS NOT NULL
    UNION
    SELECT tenant.tenant_id::text COLLATE "C" FROM event_store_tenant AS tenant
    ORDER BY 1;
END
$$;

COMMENT ON FUNCTION public.event_store_known_tenants() IS
    'Every tenant to maintain, in byte order: those of the registry, and those of public.tenants (tenant_id or id) where it exists, else of event_store.';

-- As before (0027), but the catalogue is asked first: months that are detached and not written down yet, or are being
-- detached, come back as well. A hole that nobody can see from the registry is no excuse for one.
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

    -- Somebody is detaching a month, or was interrupted at it: it comes back with the others, or it would go after them.
    FOR waiting IN
        SELECT leaf.partition_name
        FROM event_store_partition_leaf(p_tenant_id) AS leaf
        WHERE leaf.state = 'pending' AND leaf.range_end > first_month
    LOOP
        PERFORM event_store_finalize_detach(waiting.partition_name);
    END LOOP;
    INSERT INTO event_store_detached (tenant_id, partition_name, range_start, range_end, drop_after)
    SELECT p_tenant_id, loose.partition_name, loose.range_start, loose.range_end, now()
    FROM event_store_detached_leaf(p_tenant_id) AS loose
    JOIN event_store_tenant AS tenant ON tenant.tenant_id = p_tenant_id AND tenant.retention_floor >= loose.range_end
    WHERE loose.range_start >= first_month
    ON CONFLICT (partition_name) WHERE dropped_at IS NULL DO NOTHING;

    IF tenant_table IS NULL
        OR NOT EXISTS (
            SELECT FROM event_store_detached AS asked
            WHERE asked.tenant_id = p_tenant_id AND asked.range_start = first_month AND asked.dropped_at IS NULL
        )
        OR EXISTS (
            SELECT FROM event_store_detached AS gone
            WHERE gone.tenant_id = p_tenant_id AND gone.range_end > first_month AND gone.dropped_at IS NOT NULL
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
