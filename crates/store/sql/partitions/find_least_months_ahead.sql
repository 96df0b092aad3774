-- How many months after the current one (UTC) have partitions: the least of all tenants; NULL without tenants. Negative:
-- a tenant has no place for events of now.
-- Months in between are taken to be there, as maintenance makes them in one go.
WITH tenant AS (
    SELECT max(range_start) AT TIME ZONE 'UTC' AS last_month
    FROM public.event_store_partition_leaf(NULL)
    WHERE state = 'attached'
    GROUP BY tenant_id
)
SELECT min(
    12 * (extract(YEAR FROM last_month) - extract(YEAR FROM now() AT TIME ZONE 'UTC'))
    + extract(MONTH FROM last_month) - extract(MONTH FROM now() AT TIME ZONE 'UTC')
)::integer AS months_ahead
FROM tenant
