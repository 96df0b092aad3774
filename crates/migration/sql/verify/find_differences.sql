-- The rows of a unit, or of a part of a stream, that are not the same on both sides, and which columns differ.
-- $1 tenant id, $2 first instant, $3 the one past the last, $4 most rows
-- $5 aggregate type, $6 aggregate id, $7 the least and $8 the greatest version of a part of a stream; NULL for a unit
-- Each call is planned with its values: a condition, an order or a limit whose parameter is NULL is not there for the planner
-- either. A part of a stream is ordered, in a session that does not like to sort: without statistics any index of its tenant
-- looks as good as the one of its versions, and would be read whole.
-- What a restore left behind in the partitioned table, by somebody's decision, is no difference.
WITH floor AS MATERIALIZED (
    SELECT GREATEST(COALESCE(MAX(retention_floor), '-infinity'), $2::timestamptz) AS instant
    FROM public.event_store_tenant
    WHERE tenant_id = $1
),
legacy AS (
    SELECT
        event_id::uuid AS event_id, event_type::text, aggregate_type::text, aggregate_id::text,
        aggregate_version::integer, event_data::jsonb::text AS event_data,
        event_metadata::jsonb::text AS event_metadata, user_id::text, correlation_id::text, causation_id::uuid,
        legal_basis::text, data_classification::text, retention_policy::text, ip_address::inet,
        user_agent::text, session_id::text, request_id::text, event_hash::text, previous_event_hash::text,
        event_timestamp::timestamptz, created_at::timestamptz
    FROM public.event_store
    WHERE tenant_id = $1
        AND event_timestamp >= $2
        AND event_timestamp < $3
        AND event_timestamp >= (SELECT instant FROM floor)
        AND ($5::text IS NULL OR aggregate_type = $5)
        AND ($6::text IS NULL OR aggregate_id = $6)
        AND ($7::bigint IS NULL OR aggregate_version >= $7)
        AND ($8::bigint IS NULL OR aggregate_version <= $8)
    ORDER BY CASE WHEN $5::text IS NOT NULL THEN aggregate_version END
    LIMIT CASE WHEN $5::text IS NOT NULL THEN $4::bigint END
),
copy AS (
    SELECT
        event_id, event_type::text, aggregate_type::text, aggregate_id::text, aggregate_version,
        event_data::text AS event_data, event_metadata::text AS event_metadata, user_id::text,
        correlation_id::text, causation_id, legal_basis::text, data_classification::text,
        retention_policy::text, ip_address, user_agent, session_id::text, request_id::text, event_hash::text,
        previous_event_hash::text, event_timestamp, created_at
    FROM public.event_store_partitioned
    WHERE tenant_id = $1
        AND event_timestamp >= $2
        AND event_timestamp < $3
        AND event_timestamp >= (SELECT instant FROM floor)
        AND ($5::text IS NULL OR aggregate_type = $5)
        AND ($6::text IS NULL OR aggregate_id = $6)
        AND ($7::bigint IS NULL OR aggregate_version >= $7)
        AND ($8::bigint IS NULL OR aggregate_version <= $8)
    ORDER BY CASE WHEN $5::text IS NOT NULL THEN aggregate_version END
    LIMIT CASE WHEN $5::text IS NOT NULL THEN $4::bigint END
)
SELECT
    COALESCE(legacy.event_id, copy.event_id)::text AS event_id,
    COALESCE(legacy.aggregate_type, copy.aggregate_type) AS aggregate_type,
    COALESCE(legacy.aggregate_id, copy.aggregate_id) AS aggregate_id,
    COALESCE(legacy.aggregate_version, copy.aggregate_version)::bigint AS aggregate_version,
    COALESCE(legacy.event_timestamp, copy.event_timestamp)::text AS event_timestamp,
    public.event_store_month_start(COALESCE(legacy.event_timestamp, copy.event_timestamp)) AS "month_start!",
    CASE
        WHEN copy.event_id IS NULL THEN 'missing_in_partitioned'
        WHEN legacy.event_id IS NULL THEN 'missing_in_legacy'
        ELSE 'columns_differ'
    END AS "reason!",
    CASE
        WHEN copy.event_id IS NULL OR legacy.event_id IS NULL THEN '{}'
        ELSE ARRAY_REMOVE(ARRAY[
            CASE WHEN legacy.event_type IS DISTINCT FROM copy.event_type THEN 'event_type' END,
            CASE WHEN legacy.aggregate_type IS DISTINCT FROM copy.aggregate_type THEN 'aggregate_type' END,
            CASE WHEN legacy.aggregate_id IS DISTINCT FROM copy.aggregate_id THEN 'aggregate_id' END,
            CASE WHEN legacy.aggregate_version IS DISTINCT FROM copy.aggregate_version THEN 'aggregate_version' END,
            CASE WHEN legacy.event_data IS DISTINCT FROM copy.event_data THEN 'event_data' END,
            CASE WHEN legacy.event_metadata IS DISTINCT FROM copy.event_metadata THEN 'event_metadata' END,
            CASE WHEN legacy.user_id IS DISTINCT FROM copy.user_id THEN 'user_id' END,
            CASE WHEN legacy.correlation_id IS DISTINCT FROM copy.correlation_id THEN 'correlation_id' END,
            CASE WHEN legacy.causation_id IS DISTINCT FROM copy.causation_id THEN 'causation_id' END,
            CASE WHEN legacy.legal_basis IS DISTINCT FROM copy.legal_basis THEN 'legal_basis' END,
            CASE
                WHEN legacy.data_classification IS DISTINCT FROM copy.data_classification THEN 'data_classification'
            END,
            CASE WHEN legacy.retention_policy IS DISTINCT FROM copy.retention_policy THEN 'retention_policy' END,
            CASE WHEN legacy.ip_address IS DISTINCT FROM copy.ip_address THEN 'ip_address' END,
            CASE WHEN legacy.user_agent IS DISTINCT FROM copy.user_agent THEN 'user_agent' END,
            CASE WHEN legacy.session_id IS DISTINCT FROM copy.session_id THEN 'session_id' END,
            CASE WHEN legacy.request_id IS DISTINCT FROM copy.request_id THEN 'request_id' END,
            CASE WHEN legacy.event_hash IS DISTINCT FROM copy.event_hash THEN 'event_hash' END,
            CASE
                WHEN legacy.previous_event_hash IS DISTINCT FROM copy.previous_event_hash THEN 'previous_event_hash'
            END,
            CASE WHEN legacy.event_timestamp IS DISTINCT FROM copy.event_timestamp THEN 'event_timestamp' END,
            CASE WHEN legacy.created_at IS DISTINCT FROM copy.created_at THEN 'created_at' END
        ], NULL)
    END AS "columns!"
FROM legacy
FULL JOIN copy ON copy.event_id = legacy.event_id
WHERE legacy IS DISTINCT FROM copy
    AND NOT (
        legacy.event_id IS NULL
        AND EXISTS (
            SELECT
            FROM public.event_store_quarantine AS row
            WHERE row.direction = 'restore'
                AND row.tenant_id = $1
                AND row.month_start = public.event_store_month_start(copy.event_timestamp)
                AND row.event_id = copy.event_id::text
                AND row.accepted_at IS NOT NULL
        )
    )
ORDER BY 5, 2, 3, 4
LIMIT $4
