-- Why:   takes back the phases past dual. Refuses while the database is in one of them: the fence would stay without
--        anybody who knows how to take it down.
-- Lock:  ACCESS EXCLUSIVE on the control row's table, given up after 2 s.
-- Time:  milliseconds.
-- Phase: legacy or dual.
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
        RAISE EXCEPTION 'the phase is %: the functions that change it stay', closed
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'go back to open first (partita migration unfence, or restore), then go down again';
    END IF;
END
$migration$;

DROP FUNCTION public.event_store_end_restore(text);
DROP FUNCTION public.event_store_begin_restore(text);
DROP FUNCTION public.event_store_finalize(text);
DROP FUNCTION public.event_store_lower_fence(text);
DROP FUNCTION public.event_store_raise_fence(text);
DROP FUNCTION public.event_store_change_phase(text, text, text);
DROP FUNCTION public.event_store_phase_blockers();
DROP FUNCTION public.event_store_refuse_unfenced();
DROP TABLE public.event_store_phase_change;

ALTER TABLE public.event_store_control
    DROP CONSTRAINT event_store_control_fenced_unless_open,
    DROP COLUMN fenced_at,
    DROP CONSTRAINT event_store_control_phase_known,
    ADD CONSTRAINT event_store_control_phase_known CHECK (phase IN ('open', 'fenced', 'finalized'));
COMMENT ON COLUMN public.event_store_control.phase IS
    'open: each process''s DB_PARTITIONS_V1 decides; fenced: both tables are written, by all; finalized: partitioned alone';
