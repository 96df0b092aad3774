-- A page of a tenant's streams, by type and id, with the stream's own record of its last event where it has one, and the
-- phase.
-- $1 tenant id, $2 aggregate type and $3 aggregate id of the last stream of the page before, $4 most rows
-- The legacy table is skipped through, one probe of its index a stream.
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
),
named AS (
    (SELECT aggregate_type, aggregate_id FROM legacy LIMIT $4)
    UNION
    (
        SELECT aggregate_type, aggregate_id
        FROM public.event_store_stream
        WHERE tenant_id = $1
            AND (aggregate_type, aggregate_id) > ($2, $3)
        ORDER BY aggregate_type, aggregate_id
        LIMIT $4
    )
)
SELECT
    named.aggregate_type AS "aggregate_type!",
    named.aggregate_id AS "aggregate_id!",
    stream.version AS "version?",
    stream.last_hash AS "last_hash?",
    stream.first_timestamp AS "first_timestamp?",
    stream.last_timestamp AS "last_timestamp?",
    (SELECT phase FROM public.event_store_control WHERE singleton) AS "phase!"
FROM named
LEFT JOIN public.event_store_stream AS stream
    ON stream.tenant_id = $1
    AND stream.aggregate_type = named.aggregate_type
    AND stream.aggregate_id = named.aggregate_id
ORDER BY named.aggregate_type, named.aggregate_id
LIMIT $4
