-- Changes the phase; see the comment on event_store_raise_fence.
-- $1 who says so
SELECT public.event_store_raise_fence($1) AS "changed_at!"
