-- One page of a stream, backwards, from the partitioned table alone.
-- $1 tenant id, $2 aggregate type, $3 aggregate id
-- $4 the least and $5 the greatest version
-- $6 the least (inclusive) and $7 the greatest (exclusive) timestamp: plain values, so that the planner leaves out, and does
-- not lock, the months that the caller does not want or the stream did not live in
-- $8 most rows
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
    AND aggregate_type = $2
    AND aggregate_id = $3
    AND aggregate_version BETWEEN $4 AND $5
    AND event_timestamp >= $6
    AND event_timestamp < $7
    AND event_timestamp >= (
        SELECT COALESCE(MAX(retention_floor), '-infinity')
        FROM public.event_store_tenant
        WHERE tenant_id = $1
    )
ORDER BY aggregate_version DESC
LIMIT $8
