-- Writes down a difference that was met beside a read, or notes that it is still there, and takes the mark of its tenant away:
-- what was proved equal no longer is. Says whether it is new; no row where the tenant was proved equal since.
-- $1 tenant id, $2 month, $3 event id, $4 aggregate type, $5 aggregate id, $6 version, $7 timestamp as text, $8 reason,
-- $9 columns, $10 when it was seen
WITH stored AS (
    INSERT INTO public.event_store_mismatch AS known (
        row_key, tenant_id, month_start, event_id, aggregate_type, aggregate_id, aggregate_version, reason, columns,
        found_at, last_seen
    )
    SELECT
        public.event_store_row_key($1, $3, $4, $5, $6::bigint::text, $7), $1, $2, $3, $4, $5, $6, $8, $9::text[], $10, $10
    WHERE NOT EXISTS (
        SELECT
        FROM public.event_store_tenant AS tenant
        WHERE tenant.tenant_id = $1 AND tenant.verified_at > $10
    )
    ON CONFLICT (reason, row_key) WHERE repaired_at IS NULL DO UPDATE
    SET last_seen = GREATEST(known.last_seen, EXCLUDED.last_seen), columns = EXCLUDED.columns
    RETURNING known.found_at = $10 AS is_new
),
unmarked AS (
    UPDATE public.event_store_tenant
    SET verified_at = NULL
    WHERE tenant_id = $1
        AND verified_at <= $10
        AND EXISTS (SELECT FROM stored)
)
SELECT stored.is_new AS "is_new!"
FROM stored
ORDER BY stored.is_new
LIMIT 1
