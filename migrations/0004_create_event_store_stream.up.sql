-- Why:   the head of each stream. It outlives dropped months: a stream whose events have all expired goes on at n + 1,
--        never again at 1. Its timestamps prune a stream's read to the months that it lived in.
-- Lock:  none that anybody waits for: the table is new.
-- Time:  milliseconds.
-- Phase: before dual.
CREATE TABLE public.event_store_stream (
    tenant_id varchar(255) NOT NULL,
    aggregate_type varchar(100) NOT NULL,
    aggregate_id varchar(255) NOT NULL,
    version integer NOT NULL,
    last_hash varchar(64) NOT NULL,
    first_timestamp timestamptz NOT NULL,
    last_timestamp timestamptz NOT NULL,
    CONSTRAINT event_store_stream_pkey PRIMARY KEY (tenant_id, aggregate_type, aggregate_id),
    CONSTRAINT event_store_stream_version_not_negative CHECK (version >= 0)
)
-- Each append rewrites its stream's row: the free third of a page keeps those updates HOT (no index is touched).
WITH (fillfactor = 70);

COMMENT ON TABLE public.event_store_stream IS 'one row a stream: its head; outlives the months that retention drops';
COMMENT ON COLUMN public.event_store_stream.version IS 'version of the last event';
COMMENT ON COLUMN public.event_store_stream.last_hash IS 'event_hash of the last event: the next one''s previous_event_hash';
COMMENT ON COLUMN public.event_store_stream.first_timestamp IS 'least event_timestamp of the stream';
COMMENT ON COLUMN public.event_store_stream.last_timestamp IS 'greatest event_timestamp of the stream';
