-- Lets the backfill look again at the months in which a copy is missing; says how many.
-- $1 tenant id, NULL for all
WITH month AS (
    SELECT DISTINCT tenant_id, month_start
    FROM public.event_store_mismatch
    WHERE repaired_at IS NULL
        AND reason = 'missing_in_partitioned'
        AND month_start IS NOT NULL
        AND ($1::text IS NULL OR tenant_id = $1)
),
reopened AS (
    INSERT INTO public.event_store_backfill_unit AS unit (direction, tenant_id, month_start)
    SELECT 'forward', month.tenant_id, month.month_start
    FROM month
    ORDER BY month.tenant_id, month.month_start
    ON CONFLICT (direction, tenant_id, month_start) DO UPDATE
    SET state = 'pending',
        rows_total = NULL,
        rows_scanned = 0,
        rows_copied = 0,
        bytes_copied = 0,
        attempts = 0,
        retry_at = '-infinity',
        pass_started_at = NULL
    WHERE unit.state IN ('done', 'failed')
    RETURNING unit.month_start
)
SELECT COUNT(*) AS "reopened!" FROM month
