-- A page of a tenant's streams in the legacy table, by type and id.
-- $1 tenant id, $2 aggregate type and $3 aggregate id of the last stream of the page before, $4 most rows
-- The table is skipped through, one probe of its index a stream.
WITH RECURSIVE legacy AS (
    (
        SELECT aggregate_type, aggregate_id
        FROM public.event_store
        WHERE tenant_id = $1
            AND (aggregate_type, aggregate_id) > ($2, $3)
        ORDER BY aggregate_type, aggregate_id
        LIMIT 1
    )
    UNION ALL
    SELECT following.aggregate_type, following.aggregate_id
    FROM legacy
    CROSS JOIN LATERAL (
        SELECT event.aggregate_type, event.aggregate_id
        FROM public.event_store AS event
        WHERE event.tenant_id = $1
            AND (event.aggregate_type, event.aggregate_id) > (legacy.aggregate_type, legacy.aggregate_id)
        ORDER BY event.aggregate_type, event.aggregate_id
        LIMIT 1
    ) AS following
)
SELECT aggregate_type AS "aggregate_type!", aggregate_id AS "aggregate_id!"
FROM legacy
ORDER BY aggregate_type, aggregate_id
LIMIT $4
