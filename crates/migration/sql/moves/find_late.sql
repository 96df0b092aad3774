-- What may have ceased to hold since the conditions of a change were checked, counted in the change's own transaction: a month
-- that was restored takes its tenant's mark away, and waits for the change from here on; the shadow of reads may have found a
-- difference.
SELECT
    (
        SELECT COUNT(*)
        FROM public.event_store_tenant AS tenant
        CROSS JOIN public.event_store_control AS control
        WHERE (tenant.verified_at >= control.fenced_at) IS NOT TRUE
    ) AS "unverified!",
    (
        SELECT MIN(tenant.tenant_id::text)
        FROM public.event_store_tenant AS tenant
        CROSS JOIN public.event_store_control AS control
        WHERE (tenant.verified_at >= control.fenced_at) IS NOT TRUE
    ) AS "first?",
    (
        SELECT COUNT(*)
        FROM public.event_store_mismatch AS mismatch
        WHERE mismatch.repaired_at IS NULL
    ) AS "mismatches!"
