-- The phase, and the last version of a stream that reads the legacy table alone: one row, whether the stream exists or not.
-- $1 tenant id, $2 aggregate type, $3 aggregate id
-- The stream's own record may be ahead of legacy: its last events were recorded while finalized, and have expired since.
SELECT
    control.phase,
    GREATEST(
        (
            SELECT event.aggregate_version
            FROM public.event_store AS event
            WHERE event.tenant_id = $1
                AND event.aggregate_type = $2
                AND event.aggregate_id = $3
            ORDER BY event.aggregate_version DESC
            LIMIT 1
        ),
        (
            SELECT stream.version
            FROM public.event_store_stream AS stream
            WHERE stream.tenant_id = $1
                AND stream.aggregate_type = $2
                AND stream.aggregate_id = $3
            ORDER BY stream.version
            LIMIT 1
        )
    ) AS "version?"
FROM public.event_store_control AS control
ORDER BY control.singleton
LIMIT 1
