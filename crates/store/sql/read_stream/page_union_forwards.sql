-- One page of a stream, forwards: the partitioned table united with the legacy rows that are not in it yet.
-- $1 tenant id, $2 aggregate type, $3 aggregate id
-- $4 the least and $5 the greatest version
-- $6 the least (inclusive) and $7 the greatest (exclusive) timestamp that the caller wants
-- $8 the least (inclusive) and $9 the greatest (exclusive) timestamp of the stream in the partitioned table: plain
-- values, so that the planner leaves out, and does not lock, the months that the stream did not live in
-- $10 most rows
-- One snapshot: a row that is copied or dropped meanwhile is seen once or, below the floor, not at all. The legacy branch
-- leaves out the rows of the partitioned branch, and goes no further than that one when it is full: what lies beyond
-- belongs to the next page. NOT IN, where no id is NULL, is one hash table; NOT EXISTS became a loop over the page.
WITH floor AS MATERIALIZED (
    SELECT COALESCE(MAX(retention_floor), '-infinity') AS instant
    FROM public.event_store_tenant
    WHERE tenant_id = $1
),
partitioned AS MATERIALIZED (
    SELECT
        event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata,
        tenant_id, user_id, correlation_id, causation_id, legal_basis, data_classification, retention_policy,
        ip_address, user_agent, session_id, request_id, event_hash, previous_event_hash, event_timestamp,
        created_at, "position"
    FROM public.event_store_partitioned
    WHERE tenant_id = $1
        AND aggregate_type = $2
        AND aggregate_id = $3
        AND aggregate_version BETWEEN $4 AND $5
        AND event_timestamp >= $8
        AND event_timestamp < $9
        AND event_timestamp >= (SELECT instant FROM floor)
    ORDER BY aggregate_version
    LIMIT $10
),
legacy AS MATERIALIZED (
    SELECT
        event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata,
        tenant_id, user_id, correlation_id, causation_id, legal_basis, data_classification, retention_policy,
        ip_address, user_agent, session_id, request_id, event_hash, previous_event_hash, event_timestamp,
        created_at, NULL::bigint AS "position"
    FROM public.event_store
    WHERE tenant_id = $1
        AND aggregate_type = $2
        AND aggregate_id = $3
        AND aggregate_version BETWEEN $4 AND $5
        AND event_timestamp >= $6
        AND event_timestamp < $7
        AND event_timestamp >= (SELECT instant FROM floor)
        AND aggregate_version <= (
            SELECT CASE WHEN COUNT(*) = $10 THEN MAX(aggregate_version) ELSE $5 END
            FROM partitioned
        )
        AND event_id NOT IN (SELECT event_id FROM partitioned)
    ORDER BY aggregate_version
    LIMIT $10
),
page AS (
    SELECT * FROM partitioned
    UNION ALL
    SELECT * FROM legacy
)
SELECT
    event_id AS "event_id!", event_type AS "event_type!", aggregate_type AS "aggregate_type!",
    aggregate_id AS "aggregate_id!", aggregate_version AS "aggregate_version!",
    event_data::text AS "event_data!", event_metadata::text AS "event_metadata?", user_id AS "user_id!",
    correlation_id AS "correlation_id?", causation_id AS "causation_id?", legal_basis AS "legal_basis?",
    data_classification AS "data_classification?", retention_policy AS "retention_policy?",
    abbrev(ip_address) AS "ip_address?", user_agent AS "user_agent?", session_id AS "session_id?",
    request_id AS "request_id?", event_hash AS "event_hash!", previous_event_hash AS "previous_event_hash?",
    event_timestamp AS "event_timestamp!", created_at AS "created_at!", "position" AS "position?"
FROM page
ORDER BY aggregate_version
LIMIT $10
