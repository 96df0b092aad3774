-- The streams of a tenant that are not what they should be: whose head is not their last event, or whose versions have gaps
-- from the floor on. So is a record whose timestamps do not span the stream's events from the floor on: reads look at no month
-- outside of them. A head may be ahead of the legacy table where the event has expired since: it may never have been there. It
-- may so where it was left behind, by somebody's decision.
-- Gaps are the legacy table's own; copies are compared with it elsewhere.
-- $1 tenant id, $2 most streams
WITH floor AS MATERIALIZED (
    SELECT COALESCE(MAX(retention_floor), '-infinity') AS instant
    FROM public.event_store_tenant
    WHERE tenant_id = $1
),
legacy AS (
    SELECT
        aggregate_type::text AS aggregate_type,
        aggregate_id::text AS aggregate_id,
        MAX(aggregate_version)::bigint AS version,
        (ARRAY_AGG(event_hash::text ORDER BY aggregate_version DESC))[1] AS last_hash,
        COUNT(*) FILTER (WHERE event_timestamp >= (SELECT instant FROM floor)) AS live,
        MAX(aggregate_version) FILTER (WHERE event_timestamp >= (SELECT instant FROM floor))::bigint
            - MIN(aggregate_version) FILTER (WHERE event_timestamp >= (SELECT instant FROM floor))::bigint + 1 AS span,
        MIN(event_timestamp) FILTER (WHERE event_timestamp >= (SELECT instant FROM floor)) AS first_timestamp,
        MAX(event_timestamp) FILTER (WHERE event_timestamp >= (SELECT instant FROM floor)) AS last_timestamp
    FROM public.event_store
    WHERE tenant_id = $1
    GROUP BY aggregate_type, aggregate_id
),
checked AS (
    SELECT
        legacy.aggregate_type,
        legacy.aggregate_id,
        legacy.version,
        CASE
            WHEN stream.version IS NULL OR stream.version < legacy.version THEN true
            WHEN stream.version = legacy.version THEN stream.last_hash IS DISTINCT FROM legacy.last_hash
            ELSE stream.last_timestamp >= (SELECT instant FROM floor)
                AND NOT COALESCE(stream.late_timestamp < (SELECT instant FROM floor), false)
                AND NOT EXISTS (
                    SELECT
                    FROM public.event_store_quarantine AS row
                    WHERE row.direction = 'restore'
                        AND row.tenant_id = $1
                        AND row.aggregate_type = legacy.aggregate_type
                        AND row.aggregate_id = legacy.aggregate_id
                        AND row.aggregate_version = stream.version::text
                        AND row.accepted_at IS NOT NULL
                )
        END
            OR COALESCE(stream.first_timestamp > legacy.first_timestamp, false)
            OR COALESCE(stream.last_timestamp < legacy.last_timestamp, false) AS is_head_wrong,
        legacy.live > 0 AND legacy.live <> legacy.span AS has_gap
    FROM legacy
    LEFT JOIN public.event_store_stream AS stream
        ON stream.tenant_id = $1
        AND stream.aggregate_type = legacy.aggregate_type
        AND stream.aggregate_id = legacy.aggregate_id
    WHERE legacy.aggregate_type IS NOT NULL
        AND legacy.aggregate_id IS NOT NULL
        AND legacy.version IS NOT NULL
)
SELECT
    aggregate_type AS "aggregate_type!",
    aggregate_id AS "aggregate_id!",
    version AS "version!",
    is_head_wrong AS "is_head_wrong!",
    has_gap AS "has_gap!"
FROM checked
WHERE is_head_wrong OR has_gap
ORDER BY is_head_wrong DESC, aggregate_type, aggregate_id
LIMIT $2
