-- The phase, and where a stream stands before it is read: one row, whether the stream exists or not.
-- $1 tenant id, $2 aggregate type, $3 aggregate id
SELECT
    control.phase,
    stream.version AS "stream_version?",
    stream.first_timestamp AS "first_timestamp?",
    stream.last_timestamp AS "last_timestamp?",
    (
        SELECT event.aggregate_version
        FROM public.event_store AS event
        WHERE event.tenant_id = $1
            AND event.aggregate_type = $2
            AND event.aggregate_id = $3
        ORDER BY event.aggregate_version DESC
        LIMIT 1
    ) AS "legacy_version?"
FROM public.event_store_control AS control
LEFT JOIN public.event_store_stream AS stream
    ON stream.tenant_id = $1
    AND stream.aggregate_type = $2
    AND stream.aggregate_id = $3
ORDER BY control.singleton
LIMIT 1
