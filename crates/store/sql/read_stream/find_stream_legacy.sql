-- The phase, and the last version of a stream in the legacy table: one row, whether the stream exists or not.
-- $1 tenant id, $2 aggregate type, $3 aggregate id
SELECT
    control.phase,
    (
        SELECT event.aggregate_version
        FROM public.event_store AS event
        WHERE event.tenant_id = $1
            AND event.aggregate_type = $2
            AND event.aggregate_id = $3
        ORDER BY event.aggregate_version DESC
        LIMIT 1
    ) AS "version?"
FROM public.event_store_control AS control
ORDER BY control.singleton
LIMIT 1
