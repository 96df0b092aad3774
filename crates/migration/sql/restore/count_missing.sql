-- What a unit still has to copy back: the rows of its month that are not in the legacy table, whether the month is attached or
-- detached and kept, those in quarantine among them.
-- $1 tenant id, $2 first instant of the month
SELECT public.event_store_count_uncopied($1, $2, true) AS "missing!"
