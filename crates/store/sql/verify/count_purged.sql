-- How many rows of a tenant were purged from the legacy table, all of them below its floor.
-- $1 tenant id
SELECT COALESCE(SUM(rows_purged), 0)::bigint AS "purged!"
FROM public.event_store_retention_change
WHERE tenant_id = $1
    AND action = 'purge_legacy'
