-- How many rows could not be copied back, and wait for a decision.
-- $1 tenant id, NULL for all
SELECT COUNT(*) AS "open!"
FROM public.event_store_quarantine
WHERE direction = 'restore'
    AND accepted_at IS NULL
    AND ($1::text IS NULL OR tenant_id = $1)
