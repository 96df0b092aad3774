-- Puts a tenant under legal hold or releases it, and writes it down.
-- $1 tenant id, $2 whether it is held, $3 who, $4 why
SELECT public.event_store_set_legal_hold($1, $2, $3, $4)::text AS done
