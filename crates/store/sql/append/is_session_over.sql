-- Whether a session is over, and with it whatever it was doing.
-- $1 its process, $2 when it started
SELECT NOT EXISTS (
    SELECT
    FROM pg_catalog.pg_stat_activity
    WHERE pid = $1
        AND backend_start = $2
) AS "over!"
