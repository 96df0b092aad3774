-- The phase, and where events of one tenant are recorded in the partitioned table, by their ids: one row without an event
-- where none is.
-- $1 tenant id, $2 event ids
-- Whatever their time: one probe an id in each month of the tenant.
SELECT
    control.phase,
    event.event_id AS "event_id?",
    event.aggregate_type AS "aggregate_type?",
    event.aggregate_id AS "aggregate_id?",
    event.aggregate_version AS "aggregate_version?",
    event.event_timestamp AS "event_timestamp?",
    event."position" AS "position?"
FROM public.event_store_control AS control
LEFT JOIN public.event_store_partitioned AS event
    ON event.tenant_id = $1
    AND event.event_id = ANY ($2)
ORDER BY event.aggregate_version
LIMIT CARDINALITY($2::uuid[])
