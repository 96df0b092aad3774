-- Puts rows of a tenant that belong to no month into quarantine: those without a timestamp, and those outside of the years
-- that partitions have. Where the tenant itself can be none, all of its rows.
-- $1 tenant id, NULL for rows without one, $2 whether all rows are meant, $3 why, $4 most rows
-- Months and odd timestamps are found by the index; it holds NULLs as well.
INSERT INTO public.event_store_quarantine AS known (
    direction, row_key, tenant_id, event_id, aggregate_type, aggregate_id, aggregate_version, event_timestamp,
    code, reason
)
SELECT
    'forward',
    public.event_store_row_key(
        odd.tenant_id::text, odd.event_id::text, odd.aggregate_type::text, odd.aggregate_id::text,
        odd.aggregate_version::text, odd.event_timestamp::text
    ),
    odd.tenant_id::text, odd.event_id::text, odd.aggregate_type::text, odd.aggregate_id::text,
    odd.aggregate_version::text, odd.event_timestamp::text, 'odd', $3
FROM (
    (
        SELECT tenant_id, event_id, aggregate_type, aggregate_id, aggregate_version, event_timestamp
        FROM public.event_store
        WHERE $1::text IS NULL AND tenant_id IS NULL
        LIMIT $4
    )
    UNION ALL
    (
        SELECT tenant_id, event_id, aggregate_type, aggregate_id, aggregate_version, event_timestamp
        FROM public.event_store
        WHERE tenant_id = $1 AND $2
        LIMIT $4
    )
    UNION ALL
    (
        SELECT tenant_id, event_id, aggregate_type, aggregate_id, aggregate_version, event_timestamp
        FROM public.event_store
        WHERE tenant_id = $1 AND NOT $2 AND event_timestamp IS NULL
        LIMIT $4
    )
    UNION ALL
    (
        SELECT tenant_id, event_id, aggregate_type, aggregate_id, aggregate_version, event_timestamp
        FROM public.event_store
        WHERE tenant_id = $1 AND NOT $2 AND event_timestamp < '0001-01-01 UTC'
        LIMIT $4
    )
    UNION ALL
    (
        SELECT tenant_id, event_id, aggregate_type, aggregate_id, aggregate_version, event_timestamp
        FROM public.event_store
        WHERE tenant_id = $1 AND NOT $2 AND event_timestamp >= '9999-12-01 UTC'
        LIMIT $4
    )
) AS odd
ON CONFLICT (direction, row_key) DO UPDATE
SET reason = EXCLUDED.reason, last_seen = clock_timestamp()
