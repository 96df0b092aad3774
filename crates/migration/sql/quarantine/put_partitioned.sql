-- Puts the next row of a unit that cannot be copied back into quarantine, and moves the unit past it.
-- $1 tenant id, $2 first instant of the month, $3 lease token, $4 the position that it comes after, $5 SQLSTATE
-- of the refusal, $6 why
-- One that was accepted stays so.
WITH unit AS MATERIALIZED (
    SELECT tenant_id
    FROM public.event_store_backfill_unit
    WHERE direction = 'restore' AND tenant_id = $1 AND month_start = $2 AND lease_token = $3 AND state = 'copying'
    FOR UPDATE
),
row AS MATERIALIZED (
    SELECT tenant_id, event_id, aggregate_type, aggregate_id, aggregate_version, event_timestamp, "position"
    FROM public.event_store_kept_rows($1, $2, $4, 1)
    WHERE EXISTS (SELECT FROM unit)
    ORDER BY "position" DESC
    LIMIT 1
),
put AS (
    INSERT INTO public.event_store_quarantine AS known (
        direction, row_key, tenant_id, month_start, event_id, aggregate_type, aggregate_id, aggregate_version,
        event_timestamp, code, reason
    )
    SELECT
        'restore',
        public.event_store_row_key(
            tenant_id::text, event_id::text, aggregate_type::text, aggregate_id::text, aggregate_version::text,
            event_timestamp::text
        ),
        tenant_id, $2, event_id::text, aggregate_type, aggregate_id, aggregate_version::text,
        event_timestamp::text, $5, $6
    FROM row
    ON CONFLICT (direction, row_key) DO UPDATE
    SET code = EXCLUDED.code, reason = EXCLUDED.reason, last_seen = clock_timestamp()
)
UPDATE public.event_store_backfill_unit AS unit
SET cursor_version = row."position",
    rows_scanned = unit.rows_scanned + 1,
    heartbeat_at = clock_timestamp()
FROM row
WHERE unit.direction = 'restore'
    AND unit.tenant_id = $1
    AND unit.month_start = $2
    AND unit.lease_token = $3
RETURNING row.event_id::text AS event_id, unit.cursor_version
