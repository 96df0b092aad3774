-- The rows of a unit that are neither copied back nor in quarantine.
-- $1 tenant id, $2 first instant of the month
SELECT public.event_store_count_uncopied($1, $2, false) AS "left!"
