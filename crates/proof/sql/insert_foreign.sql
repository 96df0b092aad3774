-- Writes an event as a program does that knows nothing of Partita.
-- $1 event id, $2 event type, $3 aggregate type, $4 aggregate id, $5 version, $6 data, $7 metadata, $8 tenant id,
-- $9 request id, $10 a hash of its own, $11 the event's time, or NULL for now
INSERT INTO public.event_store (
    event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata, tenant_id,
    user_id, request_id, event_hash, event_timestamp, created_at
)
VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7::jsonb, $8, 'foreign', $9, $10, COALESCE($11, now()), now())
RETURNING event_timestamp
