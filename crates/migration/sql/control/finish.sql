-- Notes that a run has come to its end: no unit is waiting or being worked on.
-- $1 direction
UPDATE public.event_store_backfill AS orders
SET state = 'finished', finished_at = clock_timestamp()
WHERE orders.singleton
    AND orders.state = 'running'
    AND orders.direction = $1
    AND NOT EXISTS (
        SELECT
        FROM public.event_store_backfill_unit AS unit
        WHERE unit.direction = $1 AND unit.state IN ('pending', 'copying')
    )
RETURNING orders.state
