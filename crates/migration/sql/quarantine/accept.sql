-- Decides that the rows which could not be copied back are left behind, and writes down who decided it; says how many.
-- $1 tenant id, NULL for all, $2 who, $3 why
WITH accepted AS (
    UPDATE public.event_store_quarantine
    SET accepted_at = clock_timestamp(), accepted_by = $2, accept_reason = $3
    WHERE direction = 'restore'
        AND accepted_at IS NULL
        AND ($1::text IS NULL OR tenant_id = $1)
    RETURNING id
)
SELECT COUNT(*) AS "accepted!" FROM accepted
