-- Records the events of a batch in both tables, and moves their tenants and streams on: all of it, or nothing.
-- $1 to $22 one array a column, in the order of `event`; $23 positions
-- $24 tenant ids, $25 their last positions
-- $26 tenant ids, $27 aggregate types, $28 aggregate ids of the streams written to, and of each $29 the last version,
-- $30 the last hash, $31 the least and $32 the greatest timestamp of the new events
-- Both tables are fed from the same rows, so that no column can differ. Gives the transaction's id: should the connection
-- be lost during COMMIT, it tells what became of it.
WITH event AS MATERIALIZED (
    SELECT
        event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data::jsonb AS event_data,
        event_metadata::jsonb AS event_metadata, tenant_id, user_id, correlation_id, causation_id, legal_basis,
        data_classification, retention_policy, ip_address::inet AS ip_address, user_agent, session_id,
        request_id, event_hash, previous_event_hash, event_timestamp, created_at, "position"
    FROM UNNEST(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::text[], $7::text[], $8::text[],
        $9::text[], $10::text[], $11::uuid[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[],
        $17::text[], $18::text[], $19::text[], $20::text[], $21::timestamptz[], $22::timestamptz[],
        $23::bigint[]
    ) AS sent (
        event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata,
        tenant_id, user_id, correlation_id, causation_id, legal_basis, data_classification, retention_policy,
        ip_address, user_agent, session_id, request_id, event_hash, previous_event_hash, event_timestamp,
        created_at, "position"
    )
),
recorded_partitioned AS (
    INSERT INTO public.event_store_partitioned (
        event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata,
        tenant_id, user_id, correlation_id, causation_id, legal_basis, data_classification, retention_policy,
        ip_address, user_agent, session_id, request_id, event_hash, previous_event_hash, event_timestamp,
        created_at, "position"
    )
    SELECT
        event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata,
        tenant_id, user_id, correlation_id, causation_id, legal_basis, data_classification, retention_policy,
        ip_address, user_agent, session_id, request_id, event_hash, previous_event_hash, event_timestamp,
        created_at, "position"
    FROM event
),
recorded_legacy AS (
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
),
advanced_tenant AS (
    UPDATE public.event_store_tenant AS tenant
    SET last_position = drawn.last_position
    FROM UNNEST($24::text[], $25::bigint[]) AS drawn (tenant_id, last_position)
    WHERE tenant.tenant_id = drawn.tenant_id
),
advanced_stream AS (
    INSERT INTO public.event_store_stream AS stream (
        tenant_id, aggregate_type, aggregate_id, version, last_hash, first_timestamp, last_timestamp
    )
    SELECT tenant_id, aggregate_type, aggregate_id, version, last_hash, first_timestamp, last_timestamp
    FROM UNNEST(
        $26::text[], $27::text[], $28::text[], $29::integer[], $30::text[], $31::timestamptz[], $32::timestamptz[]
    ) AS appended (tenant_id, aggregate_type, aggregate_id, version, last_hash, first_timestamp, last_timestamp)
    ON CONFLICT (tenant_id, aggregate_type, aggregate_id) DO UPDATE
    SET version = EXCLUDED.version,
        last_hash = EXCLUDED.last_hash,
        first_timestamp = LEAST(stream.first_timestamp, EXCLUDED.first_timestamp),
        last_timestamp = GREATEST(stream.last_timestamp, EXCLUDED.last_timestamp)
)
SELECT pg_current_xact_id()::text AS "transaction_id!"
