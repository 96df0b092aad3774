-- Why:   takes back the views; they hold nothing.
-- Lock:  ACCESS EXCLUSIVE on the views alone.
-- Time:  milliseconds.
-- Phase: any; the size tables of the service fail from here on.
DROP VIEW public.event_store_partition_overview;
DROP VIEW public.event_store_partition_metrics;
