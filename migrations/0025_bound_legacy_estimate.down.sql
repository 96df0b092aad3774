-- Why:   takes the bound back.
-- Lock:  none that anybody waits for.
-- Time:  milliseconds.
-- Phase: any.
ALTER FUNCTION public.event_store_estimate_legacy(text, timestamptz) RESET lock_timeout;
