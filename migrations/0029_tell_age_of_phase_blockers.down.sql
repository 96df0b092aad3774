-- Why:   takes the age of transactions back.
-- Lock:  none that anybody waits for.
-- Time:  milliseconds.
-- Phase: any.
CREATE OR REPLACE FUNCTION public.event_store_phase_blockers() RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(
        string_agg(
            DISTINCT format(
                'pid %s (%s) holds %s on %s', held.pid,
                coalesce(nullif(activity.application_name, ''), activity.backend_type, 'prepared transaction'),
                held.mode, held.relation::regclass
            ),
            '; '
        ),
        'they are gone by now'
    )
    FROM pg_locks AS held
    LEFT JOIN pg_stat_activity AS activity ON activity.pid = held.pid
    WHERE held.locktype = 'relation'
        AND held.granted
        AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND held.relation IN ('public.event_store'::regclass, 'public.event_store_partitioned'::regclass)
        AND held.mode NOT IN ('AccessShareLock', 'RowShareLock')
        AND held.pid IS DISTINCT FROM pg_backend_pid()
$$;
