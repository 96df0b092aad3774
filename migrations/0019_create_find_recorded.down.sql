-- Why:   takes back the look-up of recorded ids in the partitioned table. Refuses where legacy does not hold every event:
--        appends would lose their idempotency.
-- Lock:  none that anybody waits for.
-- Time:  milliseconds.
-- Phase: legacy or dual.
DO $migration$
DECLARE
    closed text;
BEGIN
    SELECT control.phase INTO closed
    FROM public.event_store_control AS control
    WHERE control.phase <> 'open';
    IF closed IS NOT NULL THEN
        RAISE EXCEPTION 'the phase is %: the look-up of recorded events stays', closed
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'go back to open first (partita migration unfence, or restore), then go down again';
    END IF;
END
$migration$;

DROP FUNCTION public.event_store_find_recorded(text[], uuid[], timestamptz, timestamptz);
