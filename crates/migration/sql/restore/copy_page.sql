-- Copies the next page of a unit back to the legacy table, newest rows first, and moves the unit on: all of it, or nothing.
-- $1 tenant id, $2 first instant of the month, $3 of the next month, $4 lease token, $5 most rows to go by
-- $6 the position that the page comes after
-- $7 seconds that the lease is good for, $8 what throttles the worker, $9 its rows a second
-- No row comes back where the lease is another's: the unit's row is locked first, and all else hangs on it.
-- The session writes with partita.dual_write = on: the fence lets it pass.
-- Whatever is kept is copied, whether its month is attached or detached, and below the floor as well: a month that is restored
-- later must be in both tables. An id that legacy has in another month is another event's: the insert is refused then, and
-- the row put into quarantine.
WITH unit AS MATERIALIZED (
    SELECT tenant_id
    FROM public.event_store_backfill_unit
    WHERE direction = 'restore'
        AND tenant_id = $1
        AND month_start = $2
        AND lease_token = $4
        AND state = 'copying'
    FOR UPDATE
),
page AS MATERIALIZED (
    SELECT
        event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata,
        user_id, correlation_id, causation_id, legal_basis, data_classification, retention_policy, ip_address,
        user_agent, session_id, request_id, event_hash, previous_event_hash, event_timestamp, created_at, "position"
    FROM public.event_store_kept_rows($1, $2, $6, $5)
    WHERE EXISTS (SELECT FROM unit)
    ORDER BY "position" DESC
    LIMIT $5
),
missing AS MATERIALIZED (
    SELECT page.*
    FROM page
    LEFT JOIN LATERAL (
        SELECT true AS is_there
        FROM public.event_store AS legacy
        WHERE legacy.tenant_id = $1
            AND legacy.event_id = page.event_id
            AND legacy.event_timestamp >= $2
            AND legacy.event_timestamp < $3
        LIMIT 1
    ) AS present ON true
    WHERE present.is_there IS NULL
),
copied AS (
    INSERT INTO public.event_store (
        event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata,
        tenant_id, user_id, correlation_id, causation_id, legal_basis, data_classification, retention_policy,
        ip_address, user_agent, session_id, request_id, event_hash, previous_event_hash, event_timestamp,
        created_at
    )
    SELECT
        event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata, $1,
        user_id, correlation_id, causation_id, legal_basis, data_classification, retention_policy, ip_address,
        user_agent, session_id, request_id, event_hash, previous_event_hash, event_timestamp, created_at
    FROM missing
    ORDER BY "position"
),
tally AS (
    SELECT
        (SELECT COUNT(*) FROM page) AS scanned,
        (SELECT MIN("position") FROM page) AS last_position,
        COUNT(*) AS copied,
        COALESCE(SUM(PG_COLUMN_SIZE(event_data) + COALESCE(PG_COLUMN_SIZE(event_metadata), 0)), 0) AS bytes
    FROM missing
)
UPDATE public.event_store_backfill_unit AS unit
SET cursor_version = COALESCE(tally.last_position, unit.cursor_version),
    rows_scanned = unit.rows_scanned + tally.scanned,
    rows_copied = unit.rows_copied + tally.copied,
    bytes_copied = unit.bytes_copied + tally.bytes,
    heartbeat_at = clock_timestamp(),
    lease_until = clock_timestamp() + make_interval(secs => $7),
    throttle = $8,
    rows_per_second = $9,
    attempts = 0
FROM tally
WHERE unit.direction = 'restore'
    AND unit.tenant_id = $1
    AND unit.month_start = $2
    AND unit.lease_token = $4
    AND EXISTS (SELECT FROM unit AS locked)
RETURNING tally.scanned AS "scanned!", tally.copied AS "copied!", unit.cursor_version
