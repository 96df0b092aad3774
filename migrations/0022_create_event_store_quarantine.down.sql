-- Why:   takes back the lists of rows that could not be copied and of rows that differ. A later backfill and a later verify
--        find them again. Refuses in the phases past dual: what is on the lists blocks the way from there.
-- Lock:  ACCESS EXCLUSIVE on the two tables, given up after 2 s.
-- Time:  milliseconds.
-- Phase: legacy.
SET LOCAL lock_timeout = '2s';

DO $migration$
DECLARE
    closed text;
BEGIN
    SELECT control.phase INTO closed FROM public.event_store_control AS control FOR SHARE;
    IF closed <> 'open' THEN
        RAISE EXCEPTION 'the phase is %: the lists of rows that differ, or could not be copied, stay', closed
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'go back to open first (partita migration unfence, or restore), then go down again';
    END IF;
END
$migration$;

DROP TABLE public.event_store_mismatch;
DROP TABLE public.event_store_quarantine;
