-- Attaches the detached months from one on, and lowers the floor to it; says how many came back.
-- $1 tenant id, $2 first instant of the month, $3 who, $4 why
SELECT public.event_store_restore_month($1, $2, $3, $4) AS "restored!"
