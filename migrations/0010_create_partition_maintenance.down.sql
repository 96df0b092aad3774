-- Why:   takes back maintenance; the partitions stay as they are.
-- Lock:  none that anybody waits for.
-- Time:  milliseconds.
-- Phase: legacy; no month is created ahead from here on.
DROP FUNCTION public.ensure_event_store_partition(text, integer, integer);
DROP FUNCTION public.event_store_drop_month(text, text);
DROP FUNCTION public.event_store_apply_retention(text, integer);
DROP FUNCTION public.event_store_lock_for_drop(text);
DROP FUNCTION public.event_store_create_missing_months(text, integer, integer);
