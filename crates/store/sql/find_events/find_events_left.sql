-- Where events of one tenant are recorded in what the legacy table still holds, by their ids, once it is not whole.
-- $1 tenant id, $2 event ids: those that the partitioned table does not have
SELECT event_id, aggregate_type, aggregate_id, aggregate_version, event_timestamp
FROM public.event_store
WHERE tenant_id = $1
    AND event_id = ANY ($2)
ORDER BY aggregate_version
LIMIT CARDINALITY($2::uuid[])
