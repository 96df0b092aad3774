-- Every JSON document of the legacy table as text, with the event that it belongs to. For a table that keeps json or
-- text: the whole of it crosses the wire, in no order, as it is read once and nothing is kept.
SELECT event_id::text AS event_id, event_data::text AS event_data, event_metadata::text AS event_metadata
FROM public.event_store
