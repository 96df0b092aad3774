-- Sessions of clients: of the whole server, and those that this role and this database may still have.
SELECT
    (SELECT COUNT(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend') AS "sessions!",
    (
        SELECT COUNT(*)
        FROM pg_catalog.pg_stat_activity
        WHERE usename = current_user AND backend_type = 'client backend'
    ) AS "of_role!",
    (SELECT rolconnlimit FROM pg_catalog.pg_roles WHERE rolname = current_user) AS "role_limit!",
    (SELECT datconnlimit FROM pg_catalog.pg_database WHERE datname = current_database()) AS "database_limit!"
LIMIT 1
