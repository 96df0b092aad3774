-- The events of a batch that are recorded already, by their ids.
-- $1 tenant ids, $2 event ids
-- Every event is in the legacy table while that is written, and its key is the event id: one probe an id, however
-- many partitions there are.
SELECT
    tenant_id,
    event_id,
    event_type,
    aggregate_type,
    aggregate_id,
    aggregate_version,
    event_data::text AS "event_data!",
    event_metadata::text AS event_metadata,
    event_timestamp
FROM public.event_store
WHERE tenant_id = ANY ($1)
    AND event_id = ANY ($2)
ORDER BY tenant_id, aggregate_version
LIMIT CARDINALITY($2::uuid[])
