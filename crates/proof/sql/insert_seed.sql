-- Writes a stream's events as a program did that knew nothing of Partita, long before.
-- $1 tenant id, $2 aggregate type, $3 aggregate id, $4 request id; an entry an event, by version from 1: $5 event ids,
-- $6 event types, $7 data, $8 metadata, $9 the events' times
INSERT INTO public.event_store (
    event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata, tenant_id,
    user_id, request_id, event_hash, previous_event_hash, event_timestamp, created_at
)
SELECT
    event_id,
    event_type,
    $2,
    $3,
    version,
    event_data::jsonb,
    event_metadata::jsonb,
    $1,
    'monolith',
    $4,
    'old-' || version,
    CASE WHEN version > 1 THEN 'old-' || (version - 1) END,
    happened_at,
    happened_at
FROM UNNEST($5::uuid[], $6::text[], $7::text[], $8::text[], $9::timestamptz[])
    WITH ORDINALITY AS event (event_id, event_type, event_data, event_metadata, happened_at, version)
