-- Writes down the detached months that the registry of them does not know, and forgets those that are gone.
-- $1 tenant id, $2 days that a month found now is kept
SELECT public.event_store_register_detached($1, $2) AS "found!"
