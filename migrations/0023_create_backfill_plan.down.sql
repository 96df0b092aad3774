-- Why:   takes back the functions that the backfill plans with.
-- Lock:  none.
-- Time:  milliseconds.
-- Phase: legacy.
DROP FUNCTION public.event_store_estimate_legacy(text, timestamptz);
DROP FUNCTION public.event_store_legacy_month(text);
DROP FUNCTION public.event_store_row_key(text, text, text, text, text, text);
DROP FUNCTION public.event_store_legacy_is_ordered_by_time();
