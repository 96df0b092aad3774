-- The rows of a tenant in the legacy table that belong to no month.
-- $1 tenant id, $2 most rows
(
    SELECT
        event_id::text AS event_id, aggregate_type::text AS aggregate_type, aggregate_id::text AS aggregate_id,
        aggregate_version::bigint AS aggregate_version, event_timestamp::text AS event_timestamp
    FROM public.event_store
    WHERE tenant_id = $1 AND event_timestamp IS NULL
    LIMIT $2
)
UNION ALL
(
    SELECT event_id::text, aggregate_type::text, aggregate_id::text, aggregate_version::bigint, event_timestamp::text
    FROM public.event_store
    WHERE tenant_id = $1 AND event_timestamp < '0001-01-01 UTC'
    LIMIT $2
)
UNION ALL
(
    SELECT event_id::text, aggregate_type::text, aggregate_id::text, aggregate_version::bigint, event_timestamp::text
    FROM public.event_store
    WHERE tenant_id = $1 AND event_timestamp >= '9999-12-01 UTC'
    LIMIT $2
)
LIMIT $2
