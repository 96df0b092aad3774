-- The months of a tenant in either table, newest first.
-- $1 tenant id
SELECT month.month_start AS "month_start!"
FROM (
    SELECT legacy.month_start
    FROM public.event_store_legacy_month($1) AS legacy (month_start)
    UNION
    SELECT leaf.range_start
    FROM public.event_store_partition_leaf($1) AS leaf
    WHERE leaf.range_start IS NOT NULL
) AS month
ORDER BY month.month_start DESC
LIMIT 120000
