-- What is not as it should be with the partitions, by tenant.
-- $1 tenant id, or NULL for all, $2 months ahead
SELECT
    found.finding AS "finding!",
    found.tenant_id,
    found.partition_name,
    found.range_start,
    found.range_end,
    found.detail AS "detail!"
FROM public.event_store_partition_check($1, $2)
    WITH ORDINALITY AS found (finding, tenant_id, partition_name, range_start, range_end, detail, place)
ORDER BY found.place
LIMIT 1000000
