-- Every tenant that maintenance of "all" covers, by its bytes in any locale: whether there may be anything to do, and its floor.
-- $1 months ahead, $2 retention in months (0: for ever)
SELECT
    survey.tenant_id AS "tenant_id!",
    survey.is_due AS "is_due!",
    survey.retention_floor
FROM public.event_store_maintenance_survey($1, $2) AS survey
ORDER BY survey.tenant_id COLLATE "C"
LIMIT 1000000
