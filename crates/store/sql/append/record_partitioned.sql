-- Records the events of a batch in the partitioned table alone, and moves their tenants and streams on: all of it, or nothing.
-- $1 to $22 one array a column, in the order of `event`; $23 positions
-- $24 tenant ids, and of each $25 the last position that the batch was decided on, $26 the last one now, $27 the least
-- timestamp of its events
-- $28 tenant ids, $29 aggregate types, $30 aggregate ids of the streams written to, and of each $31 the last version,
-- $32 the last hash, $33 the least and $34 the greatest timestamp of the new events, $35 the least of those that come
-- behind a greater one
-- As record_dual.sql, whose remarks hold here too, once legacy is not written any more: there is no other arbiter then than
-- the tenants' last positions.
WITH locked AS MATERIALIZED (
    SELECT newest.at, believed.drawn_position
    FROM (
        SELECT tenant_id, last_position, drawn_position, least_timestamp
        FROM UNNEST($24::text[], $25::bigint[], $26::bigint[], $27::timestamptz[])
            AS believed (tenant_id, last_position, drawn_position, least_timestamp)
        ORDER BY tenant_id
    ) AS believed
    CROSS JOIN LATERAL (
        SELECT tenant.ctid AS at, tenant.last_position, tenant.retention_floor
        FROM public.event_store_tenant AS tenant
        WHERE tenant.tenant_id BETWEEN believed.tenant_id AND believed.tenant_id
        ORDER BY tenant.tenant_id DESC
        LIMIT 1
        FOR NO KEY UPDATE
    ) AS newest
    WHERE newest.last_position = believed.last_position
        AND newest.retention_floor <= believed.least_timestamp
),
guard AS MATERIALIZED (
    SELECT
        COUNT(*) = CARDINALITY($24::text[])
        AND EXISTS (SELECT FROM public.event_store_control WHERE singleton AND phase = 'finalized') AS holds
    FROM locked
    JOIN public.event_store_tenant AS tenant ON tenant.ctid = locked.at
),
event AS MATERIALIZED (
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
    WHERE (SELECT holds FROM guard)
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
advanced_tenant AS (
    UPDATE public.event_store_tenant AS tenant
    SET last_position = locked.drawn_position
    FROM locked
    WHERE tenant.ctid = locked.at
        AND (SELECT holds FROM guard)
),
advanced_stream AS (
    INSERT INTO public.event_store_stream AS stream (
        tenant_id, aggregate_type, aggregate_id, version, last_hash, first_timestamp, last_timestamp, late_timestamp
    )
    SELECT
        tenant_id, aggregate_type, aggregate_id, version, last_hash, first_timestamp, last_timestamp, late_timestamp
    FROM UNNEST(
        $28::text[], $29::text[], $30::text[], $31::integer[], $32::text[], $33::timestamptz[], $34::timestamptz[],
        $35::timestamptz[]
    ) AS appended (
        tenant_id, aggregate_type, aggregate_id, version, last_hash, first_timestamp, last_timestamp, late_timestamp
    )
    WHERE (SELECT holds FROM guard)
    ON CONFLICT (tenant_id, aggregate_type, aggregate_id) DO UPDATE
    SET version = EXCLUDED.version,
        last_hash = EXCLUDED.last_hash,
        first_timestamp = LEAST(stream.first_timestamp, EXCLUDED.first_timestamp),
        last_timestamp = GREATEST(stream.last_timestamp, EXCLUDED.last_timestamp),
        late_timestamp = LEAST(
            stream.late_timestamp,
            EXCLUDED.late_timestamp,
            CASE WHEN EXCLUDED.first_timestamp < stream.last_timestamp THEN EXCLUDED.first_timestamp END
        )
)
SELECT holds AS "holds!", clock_timestamp() AS "now!"
FROM guard
LIMIT 1
