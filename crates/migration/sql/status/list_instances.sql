-- The processes that serve this database, those without a sign of life for half a minute left out.
SELECT id, host, pid, version, flag, phase, started_at, heartbeat_at
FROM public.event_store_instance
WHERE heartbeat_at > clock_timestamp() - interval '30 seconds'
ORDER BY host, pid, id
LIMIT 10000
