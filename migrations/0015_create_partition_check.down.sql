-- Why:   takes back the check.
-- Lock:  none that anybody waits for.
-- Time:  milliseconds.
-- Phase: legacy; CheckPartitions fails from here on.
DROP FUNCTION public.event_store_partition_check(text, integer, timestamptz);
