-- Changes the phase; see the comment on event_store_end_restore.
-- $1 who says so
SELECT public.event_store_end_restore($1) AS "changed_at!"
