-- Marks a tenant as proved equal, or takes the mark away; says so where it did.
-- $1 tenant id, $2 when the proof began; NULL takes the mark away, $3 the tenant's floor at that instant, as text
-- No mark where the floor has come down since: a month was restored, and nobody looked at what it brought back. Nor where a
-- difference was found beside the proof.
UPDATE public.event_store_tenant AS tenant
SET verified_at = $2
WHERE tenant.tenant_id = $1
    AND tenant.verified_at IS DISTINCT FROM $2
    AND (
        $2::timestamptz IS NULL
        OR (
            tenant.retention_floor >= $3::text::timestamptz
            AND NOT EXISTS (
                SELECT
                FROM public.event_store_mismatch AS mismatch
                WHERE mismatch.tenant_id = $1 AND mismatch.repaired_at IS NULL
            )
        )
    )
RETURNING true AS "is_marked!"
