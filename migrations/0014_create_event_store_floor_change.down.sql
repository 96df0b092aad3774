-- Why:   takes back the restoring of months, and the record of it; the months stay as they are.
-- Lock:  ACCESS EXCLUSIVE on the record alone.
-- Time:  milliseconds.
-- Phase: legacy; RestorePartition fails from here on.
DROP FUNCTION public.event_store_restore_month(text, timestamptz, text, text);
DROP TABLE public.event_store_floor_change;
