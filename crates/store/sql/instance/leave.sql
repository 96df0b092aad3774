-- Writes down that this process serves no more.
-- $1 its id
DELETE FROM public.event_store_instance
WHERE id = $1
