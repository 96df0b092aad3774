-- Event ids that several rows have, and one of them. Sorts or hashes the whole column.
WITH duplicate AS (
    SELECT event_id::text AS event_id
    FROM public.event_store
    WHERE event_id IS NOT NULL
    GROUP BY event_id
    HAVING COUNT(*) > 1
)
SELECT COUNT(*) AS "count!", MIN(event_id) AS example
FROM duplicate
LIMIT 1
