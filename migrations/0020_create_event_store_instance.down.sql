-- Why:   takes back the list of serving processes.
-- Lock:  ACCESS EXCLUSIVE on the list alone, given up after 2 s.
-- Time:  milliseconds.
-- Phase: legacy or dual.
SET LOCAL lock_timeout = '2s';

DROP TABLE public.event_store_instance;
