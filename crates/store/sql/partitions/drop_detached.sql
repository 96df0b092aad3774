-- Drops a detached month whose grace period is over; says whether it did.
-- $1 tenant id, $2 partition name
SELECT public.event_store_drop_detached($1, $2) AS "dropped!"
