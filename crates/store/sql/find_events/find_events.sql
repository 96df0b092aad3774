-- The phase, and where events of one tenant are recorded, by their ids: one row without an event where none is.
-- $1 tenant id, $2 event ids
-- Every event is in the legacy table until the partitioned one is written alone, and its key is the event id: one probe an
-- id, however many partitions there are.
SELECT
    control.phase,
    event.event_id AS "event_id?",
    event.aggregate_type AS "aggregate_type?",
    event.aggregate_id AS "aggregate_id?",
    event.aggregate_version AS "aggregate_version?",
    event.event_timestamp AS "event_timestamp?"
FROM public.event_store_control AS control
LEFT JOIN public.event_store AS event
    ON event.tenant_id = $1
    AND event.event_id = ANY ($2)
ORDER BY event.aggregate_version
LIMIT CARDINALITY($2::uuid[])
