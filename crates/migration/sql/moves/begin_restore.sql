-- Changes the phase; see the comment on event_store_begin_restore.
-- $1 who says so
SELECT public.event_store_begin_restore($1) AS "changed_at!"
