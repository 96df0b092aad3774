-- The phase of the whole fleet, since when, by whom.
SELECT phase, changed_at, changed_by, fenced_at
FROM public.event_store_control
WHERE singleton
ORDER BY singleton
LIMIT 1
