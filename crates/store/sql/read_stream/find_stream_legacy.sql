-- The last version of a stream in the legacy table; no row when there is no such stream.
-- $1 tenant id, $2 aggregate type, $3 aggregate id
SELECT aggregate_version
FROM public.event_store
WHERE tenant_id = $1
    AND aggregate_type = $2
    AND aggregate_id = $3
ORDER BY aggregate_version DESC
LIMIT 1
