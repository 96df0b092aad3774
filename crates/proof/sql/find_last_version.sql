-- The last version of a stream in the legacy table, as a program finds it that knows no other.
-- $1 tenant id, $2 aggregate type, $3 aggregate id
SELECT MAX(aggregate_version)
FROM public.event_store
WHERE tenant_id = $1
    AND aggregate_type = $2
    AND aggregate_id = $3
