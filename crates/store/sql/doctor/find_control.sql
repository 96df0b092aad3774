-- The phase of the whole fleet.
SELECT phase
FROM public.event_store_control
ORDER BY singleton
LIMIT 1
