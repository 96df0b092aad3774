-- Why:   takes back the commands, and the record of them; overrides, holds and purges stay in force.
-- Lock:  ACCESS EXCLUSIVE on the record alone.
-- Time:  milliseconds.
-- Phase: legacy; SetRetention, SetLegalHold and PurgeLegacy fail from here on.
DROP FUNCTION public.event_store_legacy_delete_triggers();
DROP FUNCTION public.event_store_purge_legacy(text, timestamptz, uuid, integer, boolean, boolean, boolean, bigint, text, text);
DROP FUNCTION public.event_store_legacy_expired(text, timestamptz, uuid, integer, boolean, boolean);
DROP FUNCTION public.event_store_set_legal_hold(text, boolean, text, text);
DROP FUNCTION public.event_store_set_retention(text, integer, text, text);
DROP TABLE public.event_store_retention_change;
