-- Locks the orders for a moment, so that two workers that take up units at once count each other; says what they are.
SELECT direction, workers
FROM public.event_store_backfill
WHERE singleton AND state = 'running'
ORDER BY singleton
LIMIT 1
FOR UPDATE
