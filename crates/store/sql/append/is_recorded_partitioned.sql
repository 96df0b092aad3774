-- Whether an event is recorded, by a process that writes the partitioned table.
-- $1 tenant id, $2 event id, $3 its timestamp, which prunes to its month
SELECT EXISTS (
    SELECT
    FROM public.event_store_find_recorded(ARRAY[$1::text], ARRAY[$2::uuid], $3, $3)
) AS "recorded!"
