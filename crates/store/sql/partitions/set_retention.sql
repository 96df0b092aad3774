-- Sets how long a tenant's events are kept, and writes it down.
-- $1 tenant id, $2 months (0: for ever; NULL: inherited), $3 who, $4 why
SELECT public.event_store_set_retention($1, $2, $3, $4)::text AS done
