-- Why:   takes back the cap; the tenants stay.
-- Lock:  none that anybody waits for.
-- Time:  milliseconds.
-- Phase: legacy; first writes of new tenants fail from here on.
DROP FUNCTION public.event_store_admit_tenant(text, integer);
