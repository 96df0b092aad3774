-- The partitioned table's copy of an event, in full.
-- $1 tenant id, $2 event id, $3 its timestamp, which prunes to its month
SELECT
    event_id AS "event_id!", event_type AS "event_type!", aggregate_type AS "aggregate_type!",
    aggregate_id AS "aggregate_id!", aggregate_version AS "aggregate_version!",
    event_data::text AS "event_data!", event_metadata::text AS "event_metadata?", user_id AS "user_id!",
    correlation_id AS "correlation_id?", causation_id AS "causation_id?", legal_basis AS "legal_basis?",
    data_classification AS "data_classification?", retention_policy AS "retention_policy?",
    abbrev(ip_address) AS "ip_address?", user_agent AS "user_agent?", session_id AS "session_id?",
    request_id AS "request_id?", event_hash AS "event_hash!", previous_event_hash AS "previous_event_hash?",
    event_timestamp AS "event_timestamp!", created_at AS "created_at!", "position" AS "position?"
FROM public.event_store_partitioned
WHERE tenant_id = $1
    AND event_id = $2
    AND event_timestamp = $3
ORDER BY event_timestamp
LIMIT 1
