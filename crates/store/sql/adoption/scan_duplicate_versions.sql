-- Versions that several rows of one stream have, and one of them. Sorts or hashes the four columns of all rows.
WITH duplicate AS (
    SELECT CONCAT_WS('/', tenant_id, aggregate_type, aggregate_id, aggregate_version) AS place
    FROM public.event_store
    GROUP BY tenant_id, aggregate_type, aggregate_id, aggregate_version
    HAVING COUNT(*) > 1
)
SELECT COUNT(*) AS "count!", MIN(place) AS example
FROM duplicate
LIMIT 1
