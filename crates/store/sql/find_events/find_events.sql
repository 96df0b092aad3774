-- Where events of one tenant are recorded, by their ids.
-- $1 tenant id, $2 event ids
-- Every event is in the legacy table while that is written, and its key is the event id: one probe an id, however
-- many partitions there are.
SELECT event_id, aggregate_type, aggregate_id, aggregate_version, event_timestamp
FROM public.event_store
WHERE tenant_id = $1
    AND event_id = ANY ($2)
ORDER BY aggregate_version
LIMIT CARDINALITY($2::uuid[])
