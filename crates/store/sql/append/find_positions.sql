-- The positions of events of one tenant that are known to be recorded.
-- $1 tenant id, $2 event ids, $3 the least and $4 the greatest timestamp of these events, $5 the timestamp of each
-- The bounds prune to the months that hold the events. An id may have been used again while legacy was not written: the
-- timestamp tells which event is meant.
SELECT event_id, "position"
FROM public.event_store_partitioned
WHERE tenant_id = $1
    AND event_id = ANY ($2)
    AND event_timestamp BETWEEN $3 AND $4
    AND (event_id, event_timestamp) IN (SELECT known.id, known.at FROM UNNEST($2::uuid[], $5::timestamptz[]) AS known (id, at))
ORDER BY "position"
LIMIT CARDINALITY($2::uuid[])
