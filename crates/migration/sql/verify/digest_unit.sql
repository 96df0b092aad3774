-- Both sides of a unit: how many rows each has from the floor on, and a digest of them that does not depend on their order.
-- $1 tenant id, $2 first instant of the month, $3 of the next month
-- The digest is the sum of a 64-bit hash of each row, of every column that both tables have. Documents are hashed as they are
-- printed: jsonb itself holds 1.0 and 1.00 for equal. The casts make nothing of columns that have their type already; an
-- adopted table may have others.
WITH floor AS MATERIALIZED (
    SELECT GREATEST(COALESCE(MAX(retention_floor), '-infinity'), $2::timestamptz) AS instant
    FROM public.event_store_tenant
    WHERE tenant_id = $1
),
legacy AS (
    SELECT
        COUNT(*) AS row_count,
        COALESCE(SUM(hash_record_extended(ROW(
            event_id::uuid, event_type::text, aggregate_type::text, aggregate_id::text, aggregate_version::integer,
            event_data::jsonb::text, event_metadata::jsonb::text, user_id::text, correlation_id::text,
            causation_id::uuid, legal_basis::text, data_classification::text, retention_policy::text,
            ip_address::inet, user_agent::text, session_id::text, request_id::text, event_hash::text,
            previous_event_hash::text, event_timestamp::timestamptz, created_at::timestamptz
        ), 0)), 0) AS digest
    FROM public.event_store
    WHERE tenant_id = $1
        AND event_timestamp >= $2
        AND event_timestamp < $3
        AND event_timestamp >= (SELECT instant FROM floor)
),
partitioned AS (
    SELECT
        COUNT(*) AS row_count,
        COALESCE(SUM(hash_record_extended(ROW(
            event_id, event_type::text, aggregate_type::text, aggregate_id::text, aggregate_version,
            event_data::text, event_metadata::text, user_id::text, correlation_id::text, causation_id,
            legal_basis::text, data_classification::text, retention_policy::text, ip_address, user_agent,
            session_id::text, request_id::text, event_hash::text, previous_event_hash::text, event_timestamp,
            created_at
        ), 0)), 0) AS digest
    FROM public.event_store_partitioned
    WHERE tenant_id = $1
        AND event_timestamp >= $2
        AND event_timestamp < $3
        AND event_timestamp >= (SELECT instant FROM floor)
)
SELECT
    legacy.row_count AS "legacy_rows!",
    partitioned.row_count AS "partitioned_rows!",
    legacy.digest = partitioned.digest AS "is_same!"
FROM legacy
CROSS JOIN partitioned
