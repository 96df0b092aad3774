-- What the server is, and what a session of ours is on it.
SELECT
    current_setting('server_version_num')::integer AS "version_num!",
    current_setting('server_version') AS "version!",
    pg_is_in_recovery() AS "is_standby!",
    current_setting('transaction_read_only') = 'on' AS "is_read_only!",
    current_setting('server_encoding') AS "encoding!"
LIMIT 1
