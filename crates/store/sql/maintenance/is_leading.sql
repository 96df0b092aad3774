-- Whether this session still has the lock that try_lead.sql took. A pooler that gives each statement another session
-- would make leaders of everybody: asked of the database, not of the connection.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_locks
    WHERE pid = pg_backend_pid()
        AND locktype = 'advisory'
        AND classid::bigint = x'7072746d'::bigint
        AND objid = 0
        AND objsubid = 2
        AND granted
) AS "leads!"
