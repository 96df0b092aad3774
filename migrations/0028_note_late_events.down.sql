-- Why:   takes back the note of late events; a verification may take some that expired for missing again.
-- Lock:  ACCESS EXCLUSIVE on event_store_stream, given up after 2 s.
-- Time:  milliseconds.
-- Phase: legacy or dual.
SET LOCAL lock_timeout = '2s';
ALTER TABLE public.event_store_stream DROP COLUMN late_timestamp;
