-- Why:   takes back the list of serving processes. Refuses where the migrations before it would: going down is to stop
--        before anything is gone.
-- Lock:  ACCESS EXCLUSIVE on the list alone, given up after 2 s.
-- Time:  milliseconds.
-- Phase: legacy or dual; processes of this release do not serve without it.
SET LOCAL lock_timeout = '2s';

DO $migration$
DECLARE
    closed text;
BEGIN
    SELECT control.phase INTO closed
    FROM public.event_store_control AS control
    WHERE control.phase <> 'open';
    IF closed IS NOT NULL THEN
        RAISE EXCEPTION 'the phase is %: the list of serving processes stays', closed
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'go back to open first (partita migration unfence, or restore), then go down again';
    END IF;
END
$migration$;

-- May be called again, by the owner: after the roles were made by somebody else, or a grant was lost.
CREATE OR REPLACE FUNCTION public.event_store_grant_roles() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    grantee text;
BEGIN
    FOREACH grantee IN ARRAY ARRAY['event_store_app', 'event_store_maintenance', 'event_store_reader'] LOOP
        PERFORM event_store_grant('USAGE', 'SCHEMA public', grantee);
        PERFORM event_store_grant('SELECT', 'public.event_store', grantee);
        PERFORM event_store_grant(
            'SELECT',
            'public.event_store_partitioned, public.event_store_tenant, public.event_store_stream, '
            'public.event_store_control, public.event_store_detached, public.event_store_floor_change, '
            'public.event_store_retention_change, public.event_store_partition_metrics, '
            'public.event_store_partition_overview',
            grantee
        );
        -- Made by the service before its first migration; none where the schema was brought here by other means.
        IF to_regclass('public.event_store_migration') IS NOT NULL THEN
            PERFORM event_store_grant('SELECT', 'public.event_store_migration', grantee);
        END IF;
    END LOOP;

    FOREACH grantee IN ARRAY ARRAY['event_store_app', 'event_store_maintenance'] LOOP
        -- Both tables by their roots: nobody is granted a leaf, so what the roots refuse cannot be had from one.
        PERFORM event_store_grant('INSERT', 'public.event_store', grantee);
        PERFORM event_store_grant('INSERT', 'public.event_store_partitioned', grantee);
        PERFORM event_store_grant('INSERT, UPDATE', 'public.event_store_stream', grantee);
        -- Its other columns say who keeps what: those are changed by functions that write down who did it.
        PERFORM event_store_grant('UPDATE (last_position)', 'public.event_store_tenant', grantee);
        PERFORM event_store_grant(
            'EXECUTE',
            'FUNCTION public.event_store_admit_tenant(text, integer), '
            'public.event_store_create_missing_months(text, integer, integer), '
            'public.event_store_create_months(text, timestamptz[]), '
            'public.event_store_begin_floor(text, timestamptz)',
            grantee
        );
    END LOOP;

    PERFORM event_store_grant(
        'EXECUTE',
        'FUNCTION public.event_store_raise_floor(text, timestamptz), '
        'public.event_store_create_month(text, timestamptz), '
        'public.ensure_event_store_partition(text, integer, integer), '
        'public.ensure_event_store_partitions_for_all(integer, integer), '
        'public.event_store_finalize_detach(text), '
        'public.event_store_register_detached(text, integer), '
        'public.event_store_drop_detached(text, text), '
        'public.event_store_restore_month(text, timestamptz, text, text), '
        'public.event_store_set_retention(text, integer, text, text), '
        'public.event_store_set_legal_hold(text, boolean, text, text), '
        'public.event_store_purge_legacy(text, timestamptz, uuid, integer, boolean, boolean, boolean, bigint, text, text)',
        'event_store_maintenance'
    );
END
$$;

-- The grants on what goes with 0018 go with it.
DROP TABLE public.event_store_instance;
