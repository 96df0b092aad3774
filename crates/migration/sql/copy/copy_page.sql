-- Copies the next page of a unit, newest rows first, and moves the unit on: all of it, or nothing.
-- $1 tenant id, $2 first instant of the month, $3 of the next month, $4 lease token, $5 most rows to go by
-- $6 to $10 the row that the page comes after: timestamp, aggregate type, aggregate id, version, event id
-- $11 seconds that the lease is good for, $12 what throttles the worker, $13 its rows a second
-- No row comes back where the lease is another's: the unit's row is locked first, and all else hangs on it.
-- Rows below the floor are not copied, but move their streams' heads like the others: a stream outlives its events.
-- Positions count down from the unit's block; where it is used up, the page is cut before the row that gets none.
-- What is there already is looked up by one probe of the leaf's key a row: LIMIT 1 makes sure of it. Any join was planned
-- by statistics that a leaf which is being filled does not have, and read the leaf whole for each page.
-- Streams come last and in order, when nothing is left to do but to commit: appends wait for them.
WITH unit AS MATERIALIZED (
    SELECT position_next, position_last
    FROM public.event_store_backfill_unit
    WHERE direction = 'forward'
        AND tenant_id = $1
        AND month_start = $2
        AND lease_token = $4
        AND state = 'copying'
    FOR UPDATE
),
floor AS MATERIALIZED (
    SELECT COALESCE(MAX(retention_floor), '-infinity') AS instant
    FROM public.event_store_tenant
    WHERE tenant_id = $1
),
page AS MATERIALIZED (
    SELECT next.*, ROW_NUMBER() OVER () AS ordinal
    FROM (
        SELECT
            event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata,
            user_id, correlation_id, causation_id, legal_basis, data_classification, retention_policy, ip_address,
            user_agent, session_id, request_id, event_hash, previous_event_hash, event_timestamp, created_at
        FROM public.event_store
        WHERE tenant_id = $1
            AND event_timestamp >= $2
            AND event_timestamp < $3
            AND event_timestamp <= $6
            AND (
                event_timestamp, COALESCE(aggregate_type::text, ''), COALESCE(aggregate_id::text, ''),
                COALESCE(aggregate_version, 0), COALESCE(event_id::text, '')
            ) < ($6, $7::text, $8::text, $9::bigint, $10::text)
            AND EXISTS (SELECT FROM unit)
        ORDER BY
            event_timestamp DESC, COALESCE(aggregate_type::text, '') DESC, COALESCE(aggregate_id::text, '') DESC,
            COALESCE(aggregate_version, 0) DESC, COALESCE(event_id::text, '') DESC
        LIMIT $5
    ) AS next
),
missing AS MATERIALIZED (
    SELECT page.*, ROW_NUMBER() OVER (ORDER BY page.ordinal) AS place
    FROM page
    LEFT JOIN LATERAL (
        SELECT true AS is_there
        FROM public.event_store_partitioned AS copy
        WHERE copy.tenant_id = $1
            AND copy.event_timestamp >= $2
            AND copy.event_timestamp < $3
            AND copy.event_id = page.event_id::uuid
        LIMIT 1
    ) AS present ON true
    WHERE page.event_timestamp >= (SELECT instant FROM floor)
        AND present.is_there IS NULL
),
edge AS MATERIALIZED (
    SELECT COALESCE(
        (
            SELECT MIN(missing.ordinal) - 1
            FROM missing
            CROSS JOIN unit
            WHERE missing.place > COALESCE(unit.position_next - unit.position_last + 1, 0)
        ),
        (SELECT MAX(page.ordinal) FROM page),
        0
    ) AS ordinal
),
copied AS (
    INSERT INTO public.event_store_partitioned (
        event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata,
        tenant_id, user_id, correlation_id, causation_id, legal_basis, data_classification, retention_policy,
        ip_address, user_agent, session_id, request_id, event_hash, previous_event_hash, event_timestamp,
        created_at, "position"
    )
    SELECT
        missing.event_id::uuid, missing.event_type, missing.aggregate_type, missing.aggregate_id,
        missing.aggregate_version, missing.event_data::jsonb, missing.event_metadata::jsonb, $1, missing.user_id,
        missing.correlation_id, missing.causation_id::uuid, missing.legal_basis, missing.data_classification,
        missing.retention_policy, missing.ip_address::inet, missing.user_agent, missing.session_id,
        missing.request_id, missing.event_hash, missing.previous_event_hash, missing.event_timestamp,
        missing.created_at, unit.position_next + 1 - missing.place
    FROM missing
    CROSS JOIN unit
    WHERE missing.ordinal <= (SELECT ordinal FROM edge)
    RETURNING aggregate_type, aggregate_id, aggregate_version, event_hash, event_timestamp
),
event AS (
    SELECT aggregate_type, aggregate_id, aggregate_version, event_hash, event_timestamp FROM copied
    UNION ALL
    SELECT aggregate_type, aggregate_id, aggregate_version, event_hash, event_timestamp
    FROM page
    WHERE event_timestamp < (SELECT instant FROM floor)
),
head AS (
    SELECT
        aggregate_type,
        aggregate_id,
        MAX(aggregate_version) AS version,
        (ARRAY_AGG(event_hash ORDER BY aggregate_version DESC))[1] AS last_hash,
        MIN(event_timestamp) AS first_timestamp,
        MAX(event_timestamp) AS last_timestamp
    FROM event
    GROUP BY aggregate_type, aggregate_id
    ORDER BY aggregate_type, aggregate_id
),
advanced_stream AS (
    INSERT INTO public.event_store_stream AS stream (
        tenant_id, aggregate_type, aggregate_id, version, last_hash, first_timestamp, last_timestamp
    )
    SELECT $1, aggregate_type, aggregate_id, version, last_hash, first_timestamp, last_timestamp
    FROM head
    ORDER BY aggregate_type, aggregate_id
    ON CONFLICT (tenant_id, aggregate_type, aggregate_id) DO UPDATE
    SET version = GREATEST(stream.version, EXCLUDED.version),
        last_hash = CASE WHEN EXCLUDED.version > stream.version THEN EXCLUDED.last_hash ELSE stream.last_hash END,
        first_timestamp = LEAST(stream.first_timestamp, EXCLUDED.first_timestamp),
        last_timestamp = GREATEST(stream.last_timestamp, EXCLUDED.last_timestamp)
    WHERE EXCLUDED.version > stream.version
        OR EXCLUDED.first_timestamp < stream.first_timestamp
        OR EXCLUDED.last_timestamp > stream.last_timestamp
),
tally AS (
    SELECT
        (SELECT ordinal FROM edge) AS scanned,
        COUNT(*) AS copied,
        COALESCE(SUM(PG_COLUMN_SIZE(event_data) + COALESCE(PG_COLUMN_SIZE(event_metadata), 0)), 0) AS bytes
    FROM missing
    WHERE ordinal <= (SELECT ordinal FROM edge)
)
UPDATE public.event_store_backfill_unit AS unit
SET cursor_timestamp = COALESCE(last.event_timestamp, unit.cursor_timestamp),
    cursor_type = CASE WHEN last.ordinal IS NULL THEN unit.cursor_type ELSE COALESCE(last.aggregate_type::text, '') END,
    cursor_id = CASE WHEN last.ordinal IS NULL THEN unit.cursor_id ELSE COALESCE(last.aggregate_id::text, '') END,
    cursor_version =
        CASE WHEN last.ordinal IS NULL THEN unit.cursor_version ELSE COALESCE(last.aggregate_version, 0) END,
    cursor_event_id =
        CASE WHEN last.ordinal IS NULL THEN unit.cursor_event_id ELSE COALESCE(last.event_id::text, '') END,
    rows_scanned = unit.rows_scanned + tally.scanned,
    rows_copied = unit.rows_copied + tally.copied,
    bytes_copied = unit.bytes_copied + tally.bytes,
    position_next = unit.position_next - tally.copied,
    heartbeat_at = clock_timestamp(),
    lease_until = clock_timestamp() + make_interval(secs => $11),
    throttle = $12,
    rows_per_second = $13,
    attempts = 0
FROM tally
LEFT JOIN page AS last ON last.ordinal = tally.scanned
WHERE unit.direction = 'forward'
    AND unit.tenant_id = $1
    AND unit.month_start = $2
    AND unit.lease_token = $4
    AND EXISTS (SELECT FROM unit AS locked)
RETURNING
    tally.scanned AS "scanned!",
    tally.copied AS "copied!",
    (SELECT COUNT(*) FROM page) AS "page_rows!",
    unit.cursor_timestamp,
    unit.cursor_type,
    unit.cursor_id,
    unit.cursor_version,
    unit.cursor_event_id
