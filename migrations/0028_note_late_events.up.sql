-- Why:   whether events of a stream may have expired behind or between events that are still there, where times do not rise
--        with versions: a verification takes them for missing otherwise, once nothing but the stream's row remembers them.
-- Lock:  ACCESS EXCLUSIVE on event_store_stream, given up after 2 s.
-- Time:  milliseconds: the column is NULL in every row that is there.
-- Phase: any; before finalized where its verification is to know of every such event.
SET LOCAL lock_timeout = '2s';
ALTER TABLE public.event_store_stream ADD COLUMN late_timestamp timestamptz;

COMMENT ON COLUMN public.event_store_stream.late_timestamp IS
    'the least event_timestamp of those that were recorded behind an event of a greater one; NULL: times rise with versions, or the events are history, which legacy knows';
