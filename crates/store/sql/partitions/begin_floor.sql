-- Gives a tenant without events its first floor.
-- $1 tenant id, $2 the floor
SELECT public.event_store_begin_floor($1, $2)::text AS begun
