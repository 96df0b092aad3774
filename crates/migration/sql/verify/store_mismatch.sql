-- Writes a difference down, or notes that it is still there.
-- $1 tenant id, $2 month, NULL for a stream's head, $3 event id, $4 aggregate type, $5 aggregate id, $6 version,
-- $7 timestamp as text, $8 reason, $9 columns
INSERT INTO public.event_store_mismatch AS known (
    row_key, tenant_id, month_start, event_id, aggregate_type, aggregate_id, aggregate_version, reason, columns
)
VALUES (
    public.event_store_row_key($1, $3, $4, $5, CASE WHEN $8 = 'head_differs' THEN NULL ELSE $6::bigint::text END, $7),
    $1, $2, $3, $4, $5, $6, $8, $9
)
ON CONFLICT (reason, row_key) WHERE repaired_at IS NULL DO UPDATE
SET last_seen = clock_timestamp(), columns = EXCLUDED.columns, aggregate_version = EXCLUDED.aggregate_version
