-- What is known of versions of a stream that a table lacks: those that legacy has, expired and not; those that a restore left
-- behind in the partitioned table, by somebody's decision; and whether an event of the stream has expired that was recorded
-- behind one of a greater time.
-- $1 tenant id, $2 aggregate type, $3 aggregate id, $4 the first and $5 the last of the versions
WITH floor AS MATERIALIZED (
    SELECT COALESCE(MAX(retention_floor), '-infinity') AS instant
    FROM public.event_store_tenant
    WHERE tenant_id = $1
),
legacy AS (
    SELECT
        COUNT(*) FILTER (WHERE event_timestamp < (SELECT instant FROM floor)) AS expired,
        COUNT(*) FILTER (WHERE event_timestamp >= (SELECT instant FROM floor)) AS live
    FROM public.event_store
    WHERE tenant_id = $1
        AND aggregate_type = $2
        AND aggregate_id = $3
        AND aggregate_version BETWEEN $4 AND $5
)
SELECT
    legacy.expired AS "expired!",
    legacy.live AS "live!",
    (
        SELECT COUNT(*)
        FROM public.event_store_quarantine AS row
        WHERE row.direction = 'restore'
            AND row.tenant_id = $1
            AND row.aggregate_type = $2
            AND row.aggregate_id = $3
            AND CASE WHEN row.direction = 'restore' THEN row.aggregate_version::bigint END BETWEEN $4 AND $5
            AND row.accepted_at IS NOT NULL
    ) AS "accepted!",
    COALESCE(
        (
            SELECT stream.late_timestamp < (SELECT instant FROM floor)
            FROM public.event_store_stream AS stream
            WHERE stream.tenant_id = $1
                AND stream.aggregate_type = $2
                AND stream.aggregate_id = $3
        ),
        false
    ) AS "has_late!"
FROM legacy
LIMIT 1
