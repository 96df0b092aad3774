-- Removes the processes that have been silent for a day: they ended without a word.
DELETE FROM public.event_store_instance
WHERE heartbeat_at < now() - interval '1 day'
