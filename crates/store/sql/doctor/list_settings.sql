-- Settings by their names; one that this server does not know has no row.
-- $1 names
-- `source` is `client` where the session itself asked for the value.
SELECT name AS "name!", setting AS "setting!", source AS "source!"
FROM pg_catalog.pg_settings
WHERE name = ANY ($1)
ORDER BY name
LIMIT 100
