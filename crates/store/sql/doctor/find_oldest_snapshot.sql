-- Whoever holds the oldest snapshot that keeps dead rows of this database: a session, a prepared transaction, a replica with
-- hot_standby_feedback, a slot; and how many transactions began since.
SELECT holder AS "holder!", fix AS "fix!", age(horizon) AS "transactions!"
FROM (
    SELECT
        FORMAT('session %s of "%s"%s', pid, application_name, ', since ' || date_trunc('second', xact_start)) AS holder,
        FORMAT('SELECT pg_terminate_backend(%s)', pid) AS fix,
        -- The one of them that is older: a transaction that wrote first may have no snapshot at the moment.
        CASE WHEN age(backend_xid) > age(backend_xmin) OR backend_xmin IS NULL THEN backend_xid ELSE backend_xmin END AS horizon
    FROM pg_catalog.pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
    UNION ALL
    SELECT
        FORMAT('prepared transaction "%s" of %s', gid, date_trunc('second', prepared)),
        FORMAT('ROLLBACK PREPARED %L', gid),
        transaction
    FROM pg_catalog.pg_prepared_xacts
    WHERE database = current_database()
    UNION ALL
    SELECT
        FORMAT('replica "%s" at %s', application_name, client_addr),
        'SELECT pid, query FROM pg_stat_activity ORDER BY xact_start -- there',
        backend_xmin
    FROM pg_catalog.pg_stat_replication
    UNION ALL
    SELECT
        FORMAT('replication slot "%s"', slot_name),
        FORMAT('SELECT pg_drop_replication_slot(%L) -- if nobody uses it', slot_name),
        xmin
    FROM pg_catalog.pg_replication_slots
) AS held
WHERE horizon IS NOT NULL
ORDER BY age(horizon) DESC
LIMIT 1
