-- The database's clock, not the beginning of a transaction.
SELECT clock_timestamp() AS "now!"
LIMIT 1
