-- Moves the orders from one of some states to another; no row comes back where they are in none of them.
-- $1 states that it may come from, $2 the state that it goes to, $3 who says so
UPDATE public.event_store_backfill
SET state = $2, changed_at = clock_timestamp(), changed_by = $3
WHERE singleton AND state = ANY ($1)
RETURNING state
