-- Why:   takes back the functions that the backfill plans with, and what the roles were granted beside its tables, which go with
--        0021 and 0022. Refuses in the phases past dual: the way back from them needs these functions.
-- Lock:  none but that of REVOKE: rows of catalogues.
-- Time:  milliseconds.
-- Phase: legacy.
DO $migration$
DECLARE
    closed text;
    grantee text;
BEGIN
    SELECT control.phase INTO closed FROM public.event_store_control AS control FOR SHARE;
    IF closed <> 'open' THEN
        RAISE EXCEPTION 'the phase is %: the functions of the backfill stay', closed
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'go back to open first (partita migration unfence, or restore), then go down again';
    END IF;
    FOR grantee IN
        SELECT rolname FROM pg_roles WHERE rolname IN ('event_store_app', 'event_store_maintenance')
    LOOP
        EXECUTE format(
            'REVOKE UPDATE (history_position, backfilled_at, verified_at) ON public.event_store_tenant FROM %I', grantee
        );
    END LOOP;
END
$migration$;

DROP FUNCTION public.event_store_grant_backfill();
DROP FUNCTION public.event_store_estimate_legacy(text, timestamptz);
DROP FUNCTION public.event_store_legacy_month(text);
DROP FUNCTION public.event_store_row_key(text, text, text, text, text, text);
DROP FUNCTION public.event_store_legacy_is_ordered_by_time();
