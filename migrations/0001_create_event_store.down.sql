-- Why:   takes back a legacy table that Partita itself created and that is empty. An adopted table (one without the
--        marker in its comment) is left as it stands: it was here before.
-- Lock:  ACCESS EXCLUSIVE on the empty table, given up after 2 s.
-- Time:  milliseconds.
-- Phase: none left.
SET LOCAL lock_timeout = '2s';

DO $migration$
BEGIN
    IF to_regclass('public.event_store') IS NULL THEN
        RETURN;
    END IF;

    IF coalesce(obj_description('public.event_store'::regclass, 'pg_class'), '') NOT LIKE 'created by partita:%' THEN
        RAISE NOTICE 'public.event_store was adopted: left as it stands';
        RETURN;
    END IF;

    LOCK TABLE public.event_store IN ACCESS EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM public.event_store) THEN
        RAISE EXCEPTION 'public.event_store holds events: not dropped'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'export the events and drop the table by hand, or stay at migration 0001';
    END IF;
    DROP TABLE public.event_store;
END
$migration$;

DROP FUNCTION public.event_store_refuse_change();
