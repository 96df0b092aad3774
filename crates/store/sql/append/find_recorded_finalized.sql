-- The events of a batch that are recorded already, by their ids, once legacy is not whole: those of the partitioned table
-- within an interval, and all that legacy has.
-- $1 tenant ids, $2 event ids, $3 the least and $4 the greatest timestamp, both included
-- Legacy still holds what was recorded before it was left behind, and its key is the event id: one probe an id.
-- An event that both have comes twice, and is the same.
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
FROM (
    SELECT
        tenant_id, event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata,
        event_timestamp
    FROM public.event_store_find_recorded($1, $2, $3, $4)
    UNION ALL
    SELECT
        tenant_id, event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data::text,
        event_metadata::text, event_timestamp
    FROM public.event_store
    WHERE tenant_id = ANY ($1)
        AND event_id = ANY ($2)
) AS recorded
ORDER BY tenant_id, aggregate_version
LIMIT CARDINALITY($2::uuid[]) * (CARDINALITY($1::text[]) + 1)
