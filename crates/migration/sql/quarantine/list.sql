-- A page of what is in quarantine, oldest first.
-- $1 the last id of the page before, $2 most rows
SELECT
    id, direction, tenant_id, month_start, event_id, aggregate_type, aggregate_id, aggregate_version, event_timestamp,
    code, reason, first_seen, last_seen, accepted_at, accepted_by, accept_reason
FROM public.event_store_quarantine
WHERE id > $1
ORDER BY id
LIMIT $2
