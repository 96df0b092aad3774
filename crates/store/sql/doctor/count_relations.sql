-- How many relations hang under the partitioned table, each of which takes a place in the lock table when it is opened.
WITH partition AS (
    SELECT tree.relid, tree.isleaf
    FROM pg_catalog.pg_partition_tree('public.event_store_partitioned') AS tree
)
SELECT
    COUNT(*) FILTER (WHERE partition.isleaf) AS "leaves!",
    COUNT(*) AS "tables!",
    (SELECT COUNT(*) FROM pg_catalog.pg_index WHERE indrelid IN (SELECT relid FROM partition)) AS "indexes!"
FROM partition
LIMIT 1
