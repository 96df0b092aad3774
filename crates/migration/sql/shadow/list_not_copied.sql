-- Of rows that the legacy table alone has, those that nothing says are copied: their versions.
-- $1 tenant id, $2 aggregate type, $3 aggregate id, $4 the least and $5 the greatest version, $6 those asked about, $7 most rows
-- A backfill has copied a row where it has finished the row's month, left none of it, and began the pass that found that after
-- the row was written. What was written later is copied by whoever wrote it, or, by a program that writes legacy alone, is the
-- tail: the two cannot be told apart. Where it is not known when a row was written, it is taken for the latter.
SELECT legacy.aggregate_version::bigint AS "aggregate_version!"
FROM public.event_store AS legacy
LEFT JOIN public.event_store_backfill_unit AS unit
    ON unit.direction = 'forward'
    AND unit.tenant_id = $1
    AND unit.month_start = public.event_store_month_start(legacy.event_timestamp)
WHERE legacy.tenant_id = $1
    AND legacy.aggregate_type = $2
    AND legacy.aggregate_id = $3
    AND legacy.aggregate_version BETWEEN $4 AND $5
    AND legacy.aggregate_version = ANY ($6::integer[])
    AND (
        (unit.state = 'done' AND unit.rows_left = 0 AND legacy.created_at < unit.pass_started_at) IS NOT TRUE
        OR EXISTS (
            SELECT
            FROM public.event_store_quarantine AS row
            WHERE row.direction = 'forward'
                AND row.row_key = public.event_store_row_key(
                    legacy.tenant_id::text, legacy.event_id::text, legacy.aggregate_type::text,
                    legacy.aggregate_id::text, legacy.aggregate_version::text, legacy.event_timestamp::text
                )
        )
    )
ORDER BY legacy.aggregate_version
LIMIT $7
