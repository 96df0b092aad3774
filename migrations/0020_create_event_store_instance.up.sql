-- Why:   who serves this database: a change of the phase must not leave a process behind that contradicts it.
-- Lock:  none that anybody waits for: the table is new, and GRANT meets no reads and writes.
-- Time:  milliseconds.
-- Phase: before fenced.
CREATE TABLE public.event_store_instance (
    id uuid NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    flag boolean NOT NULL,
    phase text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT event_store_instance_pkey PRIMARY KEY (id),
    CONSTRAINT event_store_instance_phase_known
        CHECK (phase IN ('legacy', 'dual', 'fenced', 'restoring', 'finalized', 'contradiction'))
)
-- Each heartbeat rewrites its row: the free half of a page keeps those updates HOT (no index is touched).
WITH (fillfactor = 50);

COMMENT ON TABLE public.event_store_instance IS
    'one row a serving process, from its start to its end; releases without this table, and other programs, are not in it';
COMMENT ON COLUMN public.event_store_instance.flag IS 'DB_PARTITIONS_V1 of the process';
COMMENT ON COLUMN public.event_store_instance.phase IS
    'the phase that it serves in, as of its last heartbeat; contradiction: it does not serve, for its flag contradicts the control row';
COMMENT ON COLUMN public.event_store_instance.heartbeat_at IS
    'written every 5 s; a process whose row is older than half a minute is dead or cut off. Rows older than a day are removed';

-- The roles' share of this and of 0018. The functions that change the phase need the owner's rights, so they run with them,
-- and the maintenance role may call them; an adopted legacy table has to belong to the same owner.
ALTER FUNCTION public.event_store_raise_fence(text) SECURITY DEFINER;
ALTER FUNCTION public.event_store_lower_fence(text) SECURITY DEFINER;
ALTER FUNCTION public.event_store_finalize(text) SECURITY DEFINER;
ALTER FUNCTION public.event_store_begin_restore(text) SECURITY DEFINER;
ALTER FUNCTION public.event_store_end_restore(text) SECURITY DEFINER;
REVOKE EXECUTE ON FUNCTION
    public.event_store_change_phase(text, text, text),
    public.event_store_raise_fence(text),
    public.event_store_lower_fence(text),
    public.event_store_finalize(text),
    public.event_store_begin_restore(text),
    public.event_store_end_restore(text)
FROM PUBLIC;

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
            'public.event_store_retention_change, public.event_store_phase_change, public.event_store_instance, '
            'public.event_store_partition_metrics, '
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
        PERFORM event_store_grant('INSERT, UPDATE, DELETE', 'public.event_store_instance', grantee);
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
        'public.event_store_raise_fence(text), '
        'public.event_store_lower_fence(text), '
        'public.event_store_finalize(text), '
        'public.event_store_begin_restore(text), '
        'public.event_store_end_restore(text), '
        'public.event_store_purge_legacy(text, timestamptz, uuid, integer, boolean, boolean, boolean, bigint, text, text)',
        'event_store_maintenance'
    );
END
$$;

SELECT public.event_store_grant_roles();
