-- What is measured of the migration: the rows of history that are not copied yet, as far as is known, and the differences that
-- are open.
SELECT
    COALESCE(SUM(
        CASE
            WHEN unit.state = 'done' THEN COALESCE(unit.rows_left, 0)
            ELSE GREATEST(COALESCE(unit.rows_total, unit.rows_estimated, 0) - unit.rows_copied, 0)
        END
    ), 0)::bigint AS "rows_remaining!",
    (SELECT COUNT(*) FROM public.event_store_mismatch WHERE repaired_at IS NULL) AS "mismatches!"
FROM public.event_store_backfill_unit AS unit
WHERE unit.direction = 'forward'
