-- Why:   takes back the lists of rows that could not be copied and of rows that differ. A later backfill and a later verify
--        find them again.
-- Lock:  ACCESS EXCLUSIVE on the two tables, given up after 2 s.
-- Time:  milliseconds.
-- Phase: legacy.
SET LOCAL lock_timeout = '2s';
DROP TABLE public.event_store_mismatch;
DROP TABLE public.event_store_quarantine;
