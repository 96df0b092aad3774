-- Why:   takes back the registry of detached months. Their tables stay as they are, and are found again after the next up.
-- Lock:  ACCESS EXCLUSIVE on the registry alone.
-- Time:  milliseconds.
-- Phase: legacy; maintenance by the service fails from here on.
DROP FUNCTION public.event_store_drop_detached(text, text);
DROP FUNCTION public.event_store_register_detached(text, integer);
DROP FUNCTION public.event_store_detached_leaf(text);
DROP TABLE public.event_store_detached;
