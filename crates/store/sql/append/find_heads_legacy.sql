-- Where the streams of a batch stand in the legacy table alone, the instant of the append, and the phase; one row a stream,
-- in the order asked for.
-- $1 tenant ids, $2 aggregate types, $3 aggregate ids
SELECT
    (SELECT clock_timestamp()) AS "now!",
    (SELECT phase FROM public.event_store_control WHERE singleton) AS "phase!",
    legacy.aggregate_version AS "legacy_version?",
    legacy.event_hash AS "legacy_hash?"
FROM UNNEST($1::text[], $2::text[], $3::text[])
    WITH ORDINALITY AS wanted (tenant_id, aggregate_type, aggregate_id, ordinal)
LEFT JOIN LATERAL (
    SELECT event.aggregate_version, event.event_hash
    FROM public.event_store AS event
    WHERE event.tenant_id = wanted.tenant_id
        AND event.aggregate_type = wanted.aggregate_type
        AND event.aggregate_id = wanted.aggregate_id
    ORDER BY event.aggregate_version DESC
    LIMIT 1
) AS legacy ON true
ORDER BY wanted.ordinal
LIMIT CARDINALITY($1::text[])
