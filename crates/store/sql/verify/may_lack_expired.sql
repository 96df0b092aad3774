-- Whether expired events of a tenant may be missing from the legacy table: it was purged of them by command, or not written for
-- a time.
-- $1 tenant id
SELECT
    EXISTS (
        SELECT
        FROM public.event_store_retention_change
        WHERE tenant_id = $1
            AND action = 'purge_legacy'
            AND rows_purged > 0
    )
    OR EXISTS (SELECT FROM public.event_store_phase_change WHERE phase_to = 'finalized') AS "may!"
