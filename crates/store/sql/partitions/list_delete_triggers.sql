-- Triggers of the legacy table that a DELETE meets.
SELECT name AS "name!"
FROM public.event_store_legacy_delete_triggers() AS trigger (name)
ORDER BY name
LIMIT 100
