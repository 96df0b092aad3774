-- Makes the leaf of a month where there is none.
-- $1 tenant id, $2 first instant of the month
SELECT public.event_store_create_month($1, $2) AS "created!"
