-- Why:   takes back the plan; it holds nothing.
-- Lock:  none that anybody waits for.
-- Time:  milliseconds.
-- Phase: legacy; maintenance fails from here on.
DROP FUNCTION public.event_store_partition_plan(text, integer, integer, timestamptz);
DROP FUNCTION public.event_store_check_tenant_id(text);
DROP FUNCTION public.event_store_check_limits(integer, integer);
