-- Why:   takes back the heads of streams, when legacy can still tell every one of them. Refuses otherwise: a stream whose
--        head is forgotten would begin at 1 again.
-- Lock:  ACCESS EXCLUSIVE, given up after 2 s.
-- Time:  one anti-join of legacy and partitioned and one index look-up a stream, then milliseconds.
-- Phase: legacy.
SET LOCAL lock_timeout = '2s';
LOCK TABLE public.event_store_stream IN ACCESS EXCLUSIVE MODE;

DO $migration$
BEGIN
    IF public.event_store_partitioned_holds_only_copy() THEN
        RAISE EXCEPTION 'event_store_partitioned holds events that event_store does not: the heads of its streams stay'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'restore the legacy table first (partita migration restore), then go down again';
    END IF;

    IF EXISTS (
        SELECT FROM public.event_store_stream AS stream
        WHERE NOT EXISTS (
            SELECT FROM public.event_store AS legacy
            WHERE legacy.tenant_id = stream.tenant_id
                AND legacy.aggregate_type = stream.aggregate_type
                AND legacy.aggregate_id = stream.aggregate_id
                AND legacy.aggregate_version >= stream.version
        )
    ) THEN
        RAISE EXCEPTION 'event_store_stream is ahead of event_store: the heads of streams stay'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'streams whose events have expired would begin at version 1 again; stay at migration 0004';
    END IF;
END
$migration$;

DROP TABLE public.event_store_stream;
