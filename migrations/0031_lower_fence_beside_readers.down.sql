-- Why:   takes back that the fence comes down beside readers. A trigger that was left behind disabled goes: the function of
--        before would make it again.
-- Lock:  ACCESS EXCLUSIVE on event_store where there is such a trigger, given up after 2 s.
-- Time:  milliseconds.
-- Phase: any.
SET LOCAL lock_timeout = '2s';

DO $migration$
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_trigger AS trigger
        WHERE trigger.tgrelid = 'public.event_store'::regclass
            AND trigger.tgname = 'event_store_fence'
            AND trigger.tgenabled = 'D'
    ) THEN
        DROP TRIGGER event_store_fence ON public.event_store;
    END IF;
END
$migration$;

CREATE OR REPLACE FUNCTION public.event_store_change_phase(p_from text, p_to text, p_by text) RETURNS timestamptz
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '250ms'
AS $$
DECLARE
    found_phase text;
    -- The clock, not the start of the transaction: writers may commit while the locks are waited for. No mark of a
    -- verification that is there already may count, even if another server's clock set it.
    instant timestamptz;
BEGIN
    IF coalesce(p_by, '') = '' THEN
        RAISE EXCEPTION 'nobody is named as the one who changes the phase' USING ERRCODE = 'invalid_parameter_value';
    END IF;

    SELECT control.phase INTO found_phase FROM event_store_control AS control FOR UPDATE;
    IF found_phase IS DISTINCT FROM p_from THEN
        RAISE EXCEPTION 'the phase is %, not %: it cannot become %', found_phase, p_from, p_to
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'the ways are open - fenced - finalized - restoring - open, and fenced - open';
    END IF;

    BEGIN
        LOCK TABLE ONLY public.event_store_partitioned IN SHARE ROW EXCLUSIVE MODE;
        LOCK TABLE public.event_store IN SHARE ROW EXCLUSIVE MODE;
    EXCEPTION
        WHEN lock_not_available THEN
            RAISE EXCEPTION 'phase % could not be left now: other sessions hold the tables of events', p_from
                USING ERRCODE = 'lock_not_available',
                      DETAIL = event_store_phase_blockers(),
                      HINT = 'try again; an autovacuum in the way may be ended with pg_cancel_backend';
    END;

    IF p_to = 'open' THEN
        DROP TRIGGER IF EXISTS event_store_fence ON public.event_store;
    ELSIF p_from = 'open' THEN
        CREATE TRIGGER event_store_fence
            BEFORE INSERT ON public.event_store
            FOR EACH STATEMENT
            WHEN (current_setting('partita.dual_write', true) IS DISTINCT FROM 'on')
            EXECUTE FUNCTION public.event_store_refuse_unfenced();
    END IF;

    instant := clock_timestamp();
    UPDATE event_store_control AS control
    SET phase = p_to,
        changed_at = instant,
        changed_by = p_by,
        fenced_at = CASE
            WHEN p_to = 'open' THEN NULL
            WHEN p_from <> 'open' THEN control.fenced_at
            ELSE GREATEST(
                instant,
                (SELECT max(tenant.verified_at) + interval '1 microsecond' FROM event_store_tenant AS tenant)
            )
        END;
    INSERT INTO event_store_phase_change (changed_at, changed_by, phase_from, phase_to)
    VALUES (instant, p_by, p_from, p_to);
    RETURN instant;
END
$$;
