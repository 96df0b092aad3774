-- Why:   takes back the registry. Refuses while it serves events that exist nowhere else, and while a legal hold stands:
--        this table is the only place that knows of it.
-- Lock:  ACCESS EXCLUSIVE, given up after 2 s.
-- Time:  one anti-join of legacy and partitioned, then milliseconds.
-- Phase: legacy.
SET LOCAL lock_timeout = '2s';
LOCK TABLE public.event_store_tenant IN ACCESS EXCLUSIVE MODE;

DO $migration$
BEGIN
    IF public.event_store_partitioned_holds_only_copy() THEN
        RAISE EXCEPTION 'event_store_partitioned holds events that event_store does not: its registry of tenants stays'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'restore the legacy table first (partita migration restore), then go down again';
    END IF;

    IF EXISTS (SELECT FROM public.event_store_tenant WHERE legal_hold) THEN
        RAISE EXCEPTION 'a tenant is under legal hold: the registry of tenants stays'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'note down and lift the holds (event_store_tenant.legal_hold), then go down again';
    END IF;
END
$migration$;

DROP TABLE public.event_store_tenant;
