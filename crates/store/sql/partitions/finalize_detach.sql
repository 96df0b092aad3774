-- Finishes a concurrent detach that an earlier run began.
-- $1 partition name
SELECT public.event_store_finalize_detach($1)::text AS finalized
