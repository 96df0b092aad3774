-- Changes the phase; see the comment on event_store_finalize.
-- $1 who says so
SELECT public.event_store_finalize($1) AS "changed_at!"
