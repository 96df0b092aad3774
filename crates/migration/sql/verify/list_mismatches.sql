-- A page of the differences that are open, oldest first.
-- $1 the last id of the page before, $2 most rows, $3 tenant id, NULL for all
SELECT
    id, tenant_id, month_start, event_id, aggregate_type, aggregate_id, aggregate_version, reason, columns, found_at,
    last_seen
FROM public.event_store_mismatch
WHERE id > $1
    AND repaired_at IS NULL
    AND ($3::text IS NULL OR tenant_id = $3)
ORDER BY id
LIMIT $2
