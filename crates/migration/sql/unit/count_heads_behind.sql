-- The streams with rows of a month below the floor whose head is behind them: such rows are not copied, their versions count.
-- $1 tenant id, $2 first instant of the month, $3 of the next month
WITH floor AS MATERIALIZED (
    SELECT COALESCE(MAX(retention_floor), '-infinity') AS instant
    FROM public.event_store_tenant
    WHERE tenant_id = $1
)
SELECT COUNT(*) AS "behind!"
FROM (
    SELECT aggregate_type, aggregate_id, MAX(aggregate_version) AS version
    FROM public.event_store
    WHERE tenant_id = $1
        AND event_timestamp >= $2
        AND event_timestamp < $3
        AND event_timestamp < (SELECT instant FROM floor)
        AND $2 < (SELECT instant FROM floor)
    GROUP BY aggregate_type, aggregate_id
) AS expired
LEFT JOIN public.event_store_stream AS stream
    ON stream.tenant_id = $1
    AND stream.aggregate_type = expired.aggregate_type
    AND stream.aggregate_id = expired.aggregate_id
WHERE expired.aggregate_type IS NOT NULL
    AND expired.aggregate_id IS NOT NULL
    AND (stream.version IS NULL OR stream.version < expired.version)
