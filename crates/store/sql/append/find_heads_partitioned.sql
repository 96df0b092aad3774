-- Where the streams of a batch stand once legacy is not asked any more, the instant of the append, and the phase; one row a
-- stream, in the order asked for.
-- $1 tenant ids, $2 aggregate types, $3 aggregate ids
-- The clock is the database's, one for all processes.
SELECT
    (SELECT clock_timestamp()) AS "now!",
    (SELECT phase FROM public.event_store_control WHERE singleton) AS "phase!",
    stream.version AS "stream_version?",
    stream.last_hash AS "stream_hash?"
FROM UNNEST($1::text[], $2::text[], $3::text[])
    WITH ORDINALITY AS wanted (tenant_id, aggregate_type, aggregate_id, ordinal)
LEFT JOIN public.event_store_stream AS stream
    ON stream.tenant_id = wanted.tenant_id
    AND stream.aggregate_type = wanted.aggregate_type
    AND stream.aggregate_id = wanted.aggregate_id
ORDER BY wanted.ordinal
LIMIT CARDINALITY($1::text[])
