-- Why:   an estimate of the legacy table waits for its lock like everything else: 2 s, whatever the caller's session allows.
-- Lock:  none that anybody waits for.
-- Time:  milliseconds.
-- Phase: any.
ALTER FUNCTION public.event_store_estimate_legacy(text, timestamptz) SET lock_timeout = '2s';
