-- The months of a tenant in the legacy table that the backfill does not know, or has not finished: how many, and the newest.
-- $1 tenant id
SELECT COUNT(*) AS "unplanned!", MAX(month.month_start) AS newest
FROM public.event_store_legacy_month($1) AS month (month_start)
WHERE NOT EXISTS (
    SELECT
    FROM public.event_store_backfill_unit AS unit
    WHERE unit.direction = 'forward'
        AND unit.tenant_id = $1
        AND unit.month_start = month.month_start
        AND unit.state = 'done'
)
