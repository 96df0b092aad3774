-- Why:   takes back the builders; the partitions that they built stay.
-- Lock:  none that anybody waits for.
-- Time:  milliseconds.
-- Phase: legacy; a first write of a tenant or a month fails from here on.
DROP FUNCTION public.event_store_create_month(text, timestamptz);
DROP FUNCTION public.event_store_create_months(text, timestamptz[]);
DROP FUNCTION public.event_store_create_leaf(text, text, timestamptz);
DROP FUNCTION public.event_store_create_tenant_table(public.event_store_tenant);
DROP FUNCTION public.event_store_finalize_detach(text);
DROP FUNCTION public.event_store_register_tenant(text);
DROP FUNCTION public.event_store_lock_partitions(text, boolean);
