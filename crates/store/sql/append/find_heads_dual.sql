-- Where the streams of a batch stand, the instant of the append, and the phase; one row a stream, in the order asked for.
-- $1 tenant ids, $2 aggregate types, $3 aggregate ids
-- The legacy table is asked as well: another program, or a process without the flag, may have appended to it.
-- The clock is the database's, one for all processes.
SELECT
    (SELECT clock_timestamp()) AS "now!",
    (SELECT phase FROM public.event_store_control WHERE singleton) AS "phase!",
    stream.version AS "stream_version?",
    stream.last_hash AS "stream_hash?",
    legacy.aggregate_version AS "legacy_version?",
    legacy.event_hash AS "legacy_hash?"
FROM UNNEST($1::text[], $2::text[], $3::text[])
    WITH ORDINALITY AS wanted (tenant_id, aggregate_type, aggregate_id, ordinal)
LEFT JOIN public.event_store_stream AS stream
    ON stream.tenant_id = wanted.tenant_id
    AND stream.aggregate_type = wanted.aggregate_type
    AND stream.aggregate_id = wanted.aggregate_id
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
