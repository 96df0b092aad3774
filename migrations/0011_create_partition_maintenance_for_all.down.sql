-- Why:   takes back maintenance of every tenant; the partitions stay as they are.
-- Lock:  none that anybody waits for.
-- Time:  milliseconds.
-- Phase: legacy; a cron job that calls it fails from here on.
DROP FUNCTION public.ensure_event_store_partitions_for_all(integer, integer);
DROP FUNCTION public.event_store_legacy_is_led_by_tenant();
DROP FUNCTION public.event_store_known_tenants();
