-- What stands in the way of a change of the phase, counted.
-- While anybody may write the legacy table alone, the tail that is not copied yet is what the fence goes up for, and no
-- difference: it is copied, and proved, behind the fence.
SELECT
    control.phase,
    orders.state AS backfill_state,
    orders.direction AS backfill_direction,
    (
        SELECT COUNT(*)
        FROM public.event_store_backfill_unit AS unit
        WHERE unit.direction = 'forward' AND unit.state <> 'done'
    ) AS "units_open!",
    (
        SELECT COALESCE(SUM(unit.rows_left), 0)::bigint
        FROM public.event_store_backfill_unit AS unit
        WHERE unit.direction = 'forward'
    ) AS "rows_left!",
    (
        SELECT COUNT(*)
        FROM public.event_store_backfill_unit AS unit
        WHERE unit.direction = 'restore' AND (unit.state <> 'done' OR COALESCE(unit.rows_left, 1) > 0)
    ) AS "restore_open!",
    (
        SELECT COUNT(*)
        FROM public.event_store_quarantine AS row
        WHERE row.direction = 'forward'
    ) AS "quarantined!",
    (
        SELECT COUNT(*)
        FROM public.event_store_quarantine AS row
        WHERE row.direction = 'restore' AND row.accepted_at IS NULL
    ) AS "restore_quarantined!",
    (
        SELECT COUNT(*)
        FROM public.event_store_mismatch AS mismatch
        WHERE mismatch.repaired_at IS NULL
            AND NOT (control.phase = 'open' AND mismatch.reason IN ('missing_in_partitioned', 'head_differs'))
    ) AS "mismatches!"
FROM public.event_store_control AS control
CROSS JOIN public.event_store_backfill AS orders
ORDER BY control.singleton
LIMIT 1
