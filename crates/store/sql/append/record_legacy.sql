-- Records the events of a batch in the legacy table alone: the partitioned side is not touched while the flag is off.
-- $1 to $22 one array a column, in the order of `event`
WITH event AS MATERIALIZED (
    SELECT
        event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data::jsonb AS event_data,
        event_metadata::jsonb AS event_metadata, tenant_id, user_id, correlation_id, causation_id, legal_basis,
        data_classification, retention_policy, ip_address::inet AS ip_address, user_agent, session_id,
        request_id, event_hash, previous_event_hash, event_timestamp, created_at
    FROM UNNEST(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::text[], $7::text[], $8::text[],
        $9::text[], $10::text[], $11::uuid[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[],
        $17::text[], $18::text[], $19::text[], $20::text[], $21::timestamptz[], $22::timestamptz[]
    ) AS sent (
        event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata,
        tenant_id, user_id, correlation_id, causation_id, legal_basis, data_classification, retention_policy,
        ip_address, user_agent, session_id, request_id, event_hash, previous_event_hash, event_timestamp,
        created_at
    )
)
INSERT INTO public.event_store (
    event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata,
    tenant_id, user_id, correlation_id, causation_id, legal_basis, data_classification, retention_policy,
    ip_address, user_agent, session_id, request_id, event_hash, previous_event_hash, event_timestamp,
    created_at
)
SELECT
    event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata,
    tenant_id, user_id, correlation_id, causation_id, legal_basis, data_classification, retention_policy,
    ip_address, user_agent, session_id, request_id, event_hash, previous_event_hash, event_timestamp,
    created_at
FROM event
