-- Whether an event is recorded, by a process that writes the legacy table alone.
-- $1 tenant id, $2 event id
SELECT EXISTS (
    SELECT
    FROM public.event_store
    WHERE tenant_id = $1
        AND event_id = $2
) AS "recorded!"
