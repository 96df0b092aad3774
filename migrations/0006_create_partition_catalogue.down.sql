-- Why:   takes back the read-only functions of 0006; they hold nothing.
-- Lock:  none that anybody waits for.
-- Time:  milliseconds.
-- Phase: legacy; a service that runs on fails from here on.
DROP FUNCTION public.event_store_month_partition_name(text, timestamptz);
DROP FUNCTION public.event_store_free_partition_name(text);
DROP FUNCTION public.event_store_partition_leaf(text);
DROP FUNCTION public.event_store_partition_tenant(text);
DROP FUNCTION public.event_store_month_start(timestamptz);
