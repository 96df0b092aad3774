-- The events of a batch that are recorded already in the partitioned table, by their ids, within an interval.
-- $1 tenant ids, $2 event ids, $3 the least and $4 the greatest timestamp, both included
-- By a function that plans each call anew: planned once for all calls, as lanes plan, this would lock every partition.
SELECT
    tenant_id AS "tenant_id!",
    event_id AS "event_id!",
    event_type AS "event_type!",
    aggregate_type AS "aggregate_type!",
    aggregate_id AS "aggregate_id!",
    aggregate_version AS "aggregate_version!",
    event_data AS "event_data!",
    event_metadata,
    event_timestamp AS "event_timestamp!"
FROM public.event_store_find_recorded($1, $2, $3, $4)
ORDER BY tenant_id, aggregate_version
LIMIT CARDINALITY($2::uuid[]) * CARDINALITY($1::text[])
