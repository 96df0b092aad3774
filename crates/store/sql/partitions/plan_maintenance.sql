-- What maintenance of a tenant has to do now, in order.
-- $1 tenant id, $2 months ahead, $3 retention in months (0: for ever)
SELECT
    step.action AS "action!",
    step.partition_name,
    step.range_start,
    step.range_end
FROM public.event_store_partition_plan($1, $2, $3)
    WITH ORDINALITY AS step (action, partition_name, range_start, range_end, place)
ORDER BY step.place
LIMIT 100000
