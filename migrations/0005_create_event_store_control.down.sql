-- Why:   takes back the control row, when nothing depends on it: the phase is open, and legacy holds every event.
-- Lock:  ACCESS EXCLUSIVE, given up after 2 s.
-- Time:  one anti-join of legacy and partitioned, then milliseconds.
-- Phase: legacy.
SET LOCAL lock_timeout = '2s';
LOCK TABLE public.event_store_control IN ACCESS EXCLUSIVE MODE;

DO $migration$
DECLARE
    closed text;
BEGIN
    SELECT control.phase INTO closed
    FROM public.event_store_control AS control
    WHERE control.phase <> 'open';
    IF closed IS NOT NULL THEN
        RAISE EXCEPTION 'the phase is %: the control row stays', closed
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'go back to open first (partita migration unfence, or restore), then go down again';
    END IF;

    IF public.event_store_partitioned_holds_only_copy() THEN
        RAISE EXCEPTION 'event_store_partitioned holds events that event_store does not: the control row stays'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'restore the legacy table first (partita migration restore), then go down again';
    END IF;
END
$migration$;

DROP TABLE public.event_store_control;
