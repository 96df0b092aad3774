-- Which session this is: its process alone is no proof, for numbers of processes are used again.
SELECT pid AS "pid!", backend_start AS "started!"
FROM pg_catalog.pg_stat_activity
WHERE pid = pg_backend_pid()
ORDER BY backend_start
LIMIT 1
