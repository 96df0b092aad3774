-- Raises a tenant's floor, in a transaction of its own, before anything below it goes. It never sinks.
-- $1 tenant id, $2 the new floor
SELECT public.event_store_raise_floor($1, $2)::text AS raised
