-- Why:   takes back the survey; maintenance of all goes tenant by tenant again.
-- Lock:  none that anybody waits for.
-- Time:  milliseconds.
-- Phase: any.
CREATE OR REPLACE FUNCTION public.ensure_event_store_partitions_for_all(
    months_ahead integer DEFAULT 2, retention_months integer DEFAULT 18
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    -- As long as an append may be made to wait. What is left below the floor goes with the next call.
    drop_budget CONSTANT interval := '2 seconds';
    drop_deadline timestamptz;
    tenant text;
    touched integer := 0;
    due text[] := '{}'; -- tenants with something to finish, to raise or to drop
    creates boolean;
    retains boolean;
BEGIN
    PERFORM event_store_check_limits(months_ahead, retention_months);

    -- New tenants last: each is attached to the root, and other sessions' new tenants wait from then on.
    FOR tenant IN
        SELECT known.id
        FROM event_store_known_tenants() AS known (id)
        LEFT JOIN event_store_partition_tenant() AS attached ON attached.tenant_id = known.id
        ORDER BY attached.tenant_id IS NULL, known.id COLLATE "C"
    LOOP
        BEGIN
            SELECT
                coalesce(bool_or(step.action IN ('create_tenant', 'create_month')), false),
                coalesce(bool_or(step.action NOT IN ('create_tenant', 'create_month')), false)
            INTO creates, retains
            FROM event_store_partition_plan(tenant, months_ahead, retention_months) AS step;

            -- Never waits: this call holds other tenants' locks, and two that wait for each other would deadlock.
            IF (creates OR retains) AND NOT event_store_lock_partitions(tenant, p_wait => false) THEN
                RAISE NOTICE 'tenant "%" left out: another session maintains it', tenant;
                CONTINUE;
            END IF;
            IF creates THEN
                PERFORM event_store_create_missing_months(tenant, months_ahead, retention_months);
            END IF;
            IF retains THEN
                due := due || tenant;
            END IF;
            touched := touched + 1;
        EXCEPTION
        WHEN out_of_memory THEN
            -- The lock table is full (some 400 new tenants at PostgreSQL's defaults): commit what there is, for everybody's sake.
            RAISE WARNING 'stopped before tenant "%": %', left(tenant, 255), SQLERRM
                USING HINT = 'call again for the rest, or raise max_locks_per_transaction';
            RETURN touched;
        WHEN OTHERS THEN
            -- A foreign tenants table may hold ids that are too long to be one: a message names no more than fits.
            RAISE WARNING 'tenant "%" left out: % (SQLSTATE %)', left(tenant, 255), SQLERRM, SQLSTATE;
        END;
    END LOOP;

    drop_deadline := clock_timestamp() + drop_budget;
    FOREACH tenant IN ARRAY due LOOP
        IF clock_timestamp() > drop_deadline THEN
            RAISE NOTICE 'retention stopped before tenant "%": % are over', tenant, drop_budget
                USING HINT = 'call again for the rest';
            EXIT;
        END IF;
        BEGIN
            PERFORM event_store_apply_retention(tenant, retention_months);
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'retention of tenant "%" left out: % (SQLSTATE %)', tenant, SQLERRM, SQLSTATE;
        END;
    END LOOP;
    RETURN touched;
END
$$;

DROP FUNCTION public.event_store_maintenance_survey(integer, integer, timestamptz);
