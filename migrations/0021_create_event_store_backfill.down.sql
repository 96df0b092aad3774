-- Why:   takes back the backfill's orders and progress. What it copied stays, and a later backfill finds it copied. Refuses
--        while workers are told to work, and in the phases past dual: the way back from them is a backfill.
-- Lock:  ACCESS EXCLUSIVE on the two tables, given up after 2 s: a worker may be at a page.
-- Time:  milliseconds.
-- Phase: legacy.
SET LOCAL lock_timeout = '2s';

DO $migration$
DECLARE
    closed text;
    under_way text;
BEGIN
    SELECT control.phase INTO closed FROM public.event_store_control AS control FOR SHARE;
    IF closed <> 'open' THEN
        RAISE EXCEPTION 'the phase is %: the backfill''s orders stay', closed
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'go back to open first (partita migration unfence, or restore), then go down again';
    END IF;
    SELECT orders.state INTO under_way FROM public.event_store_backfill AS orders FOR SHARE;
    IF under_way = 'running' THEN
        RAISE EXCEPTION 'a backfill is running: its orders stay'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'let it end, or run partita migration backfill cancel, then go down again';
    END IF;
END
$migration$;

DROP TABLE public.event_store_backfill_unit;
DROP TABLE public.event_store_backfill;
