-- What a comparison of a part of a stream begins with: the phase, whether its tenant was proved equal since the fence went up,
-- the time that its rows span in either table, how many of them the legacy table has, and the instant.
-- $1 tenant id, $2 aggregate type, $3 aggregate id, $4 the least and $5 the greatest version, $6 most rows
-- The record of the stream spans the partitioned table's rows: the planner leaves out the months that it did not live in.
-- Ordered for the same reason as in verify/find_differences.sql.
SELECT
    control.phase,
    COALESCE(tenant.verified_at >= control.fenced_at, false) AS "is_verified!",
    LEAST(stream.first_timestamp, legacy.first_timestamp) AS "first_timestamp?",
    GREATEST(stream.last_timestamp, legacy.last_timestamp) AS "last_timestamp?",
    legacy.row_count AS "legacy_rows!",
    clock_timestamp() AS "now!"
FROM public.event_store_control AS control
LEFT JOIN public.event_store_tenant AS tenant
    ON tenant.tenant_id = $1
LEFT JOIN public.event_store_stream AS stream
    ON stream.tenant_id = $1
    AND stream.aggregate_type = $2
    AND stream.aggregate_id = $3
CROSS JOIN LATERAL (
    SELECT
        COUNT(*) AS row_count,
        MIN(event.event_timestamp)::timestamptz AS first_timestamp,
        MAX(event.event_timestamp)::timestamptz AS last_timestamp
    FROM (
        SELECT event_timestamp
        FROM public.event_store
        WHERE tenant_id = $1
            AND aggregate_type = $2
            AND aggregate_id = $3
            AND aggregate_version BETWEEN $4 AND $5
        ORDER BY aggregate_version
        LIMIT $6
    ) AS event
    WHERE event.event_timestamp >= COALESCE(tenant.retention_floor, '-infinity')
        AND event.event_timestamp >= '0001-01-01 UTC'
        AND event.event_timestamp < '9999-12-01 UTC'
) AS legacy
ORDER BY control.singleton
LIMIT 1
