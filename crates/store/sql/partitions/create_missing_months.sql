-- Creates the months that the plan misses, and the tenant where it is new; says how many.
-- $1 tenant id, $2 months ahead, $3 retention in months (0: for ever)
SELECT public.event_store_create_missing_months($1, $2, $3) AS "created!"
