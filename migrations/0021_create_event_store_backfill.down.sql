-- Why:   takes back the backfill's orders and progress. What it copied stays, and a later backfill finds it copied.
-- Lock:  ACCESS EXCLUSIVE on the two tables, given up after 2 s: a worker may be at a page.
-- Time:  milliseconds.
-- Phase: legacy.
SET LOCAL lock_timeout = '2s';
DROP TABLE public.event_store_backfill_unit;
DROP TABLE public.event_store_backfill;
