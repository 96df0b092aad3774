-- Puts the next row of a unit into quarantine, and moves the unit past it. Nothing is cast but to text: the row may hold what
-- no column of the partitioned table can.
-- $1 tenant id, $2 first instant of the month, $3 of the next month, $4 lease token
-- $5 to $9 the row that it comes after: timestamp, aggregate type, aggregate id, version, event id
-- $10 SQLSTATE of the refusal, $11 why
WITH unit AS MATERIALIZED (
    SELECT tenant_id
    FROM public.event_store_backfill_unit
    WHERE direction = 'forward' AND tenant_id = $1 AND month_start = $2 AND lease_token = $4 AND state = 'copying'
    FOR UPDATE
),
row AS MATERIALIZED (
    SELECT
        tenant_id::text AS tenant_id, event_id::text AS event_id, aggregate_type::text AS aggregate_type,
        aggregate_id::text AS aggregate_id, aggregate_version, event_timestamp
    FROM public.event_store
    WHERE tenant_id = $1
        AND event_timestamp >= $2
        AND event_timestamp < $3
        AND event_timestamp <= $5
        AND (
            event_timestamp, COALESCE(aggregate_type::text, ''), COALESCE(aggregate_id::text, ''),
            COALESCE(aggregate_version, 0), COALESCE(event_id::text, '')
        ) < ($5, $6::text, $7::text, $8::bigint, $9::text)
        AND EXISTS (SELECT FROM unit)
    ORDER BY
        event_timestamp DESC, COALESCE(aggregate_type::text, '') DESC, COALESCE(aggregate_id::text, '') DESC,
        COALESCE(aggregate_version, 0) DESC, COALESCE(event_id::text, '') DESC
    LIMIT 1
),
put AS (
    INSERT INTO public.event_store_quarantine AS known (
        direction, row_key, tenant_id, month_start, event_id, aggregate_type, aggregate_id, aggregate_version,
        event_timestamp, code, reason
    )
    SELECT
        'forward',
        public.event_store_row_key(
            tenant_id, event_id, aggregate_type, aggregate_id, aggregate_version::text, event_timestamp::text
        ),
        tenant_id, $2, event_id, aggregate_type, aggregate_id, aggregate_version::text, event_timestamp::text,
        $10, $11
    FROM row
    ON CONFLICT (direction, row_key) DO UPDATE
    SET code = EXCLUDED.code, reason = EXCLUDED.reason, last_seen = clock_timestamp()
)
UPDATE public.event_store_backfill_unit AS unit
SET cursor_timestamp = row.event_timestamp,
    cursor_type = COALESCE(row.aggregate_type, ''),
    cursor_id = COALESCE(row.aggregate_id, ''),
    cursor_version = COALESCE(row.aggregate_version, 0),
    cursor_event_id = COALESCE(row.event_id, ''),
    rows_scanned = unit.rows_scanned + 1,
    heartbeat_at = clock_timestamp()
FROM row
WHERE unit.direction = 'forward'
    AND unit.tenant_id = $1
    AND unit.month_start = $2
    AND unit.lease_token = $4
RETURNING
    row.event_id AS event_id,
    unit.cursor_timestamp,
    unit.cursor_type,
    unit.cursor_id,
    unit.cursor_version,
    unit.cursor_event_id
