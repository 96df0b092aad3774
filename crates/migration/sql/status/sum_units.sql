-- How far a direction has come, over all units; and what else stands in the way.
-- $1 direction
SELECT
    COUNT(*) AS "units!",
    COUNT(*) FILTER (WHERE unit.state = 'done') AS "units_done!",
    COUNT(*) FILTER (WHERE unit.state = 'copying') AS "units_copying!",
    COUNT(*) FILTER (WHERE unit.state = 'failed') AS "units_failed!",
    COALESCE(SUM(unit.rows_copied), 0)::bigint AS "rows_copied!",
    COALESCE(SUM(unit.bytes_copied), 0)::bigint AS "bytes_copied!",
    COALESCE(SUM(COALESCE(unit.rows_total, unit.rows_estimated, 0)), 0)::bigint AS "rows_total!",
    COALESCE(SUM(unit.rows_left) FILTER (WHERE unit.state = 'done'), 0)::bigint AS "rows_left!",
    COALESCE(SUM(unit.rows_per_second) FILTER (WHERE unit.state = 'copying'), 0) AS "rows_per_second!",
    (SELECT COUNT(*) FROM public.event_store_tenant) AS "tenants!",
    (SELECT COUNT(*) FROM public.event_store_tenant WHERE backfilled_at IS NOT NULL) AS "tenants_backfilled!",
    (
        SELECT COUNT(*)
        FROM public.event_store_tenant AS tenant
        CROSS JOIN public.event_store_control AS control
        WHERE tenant.verified_at IS NOT NULL
            AND tenant.verified_at >= COALESCE(control.fenced_at, '-infinity')
    ) AS "tenants_verified!",
    (
        SELECT COUNT(*)
        FROM public.event_store_quarantine AS row
        WHERE row.direction = $1 AND row.accepted_at IS NULL
    ) AS "quarantined!",
    (SELECT COUNT(*) FROM public.event_store_quarantine WHERE accepted_at IS NOT NULL) AS "accepted!",
    (SELECT COUNT(*) FROM public.event_store_mismatch WHERE repaired_at IS NULL) AS "mismatches!"
FROM public.event_store_backfill_unit AS unit
WHERE unit.direction = $1
