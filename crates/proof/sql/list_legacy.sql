-- Every event of the legacy table.
-- The digest is over every shared column, documents as they are printed: equal digests, equal rows.
SELECT
    event_id,
    tenant_id,
    aggregate_type,
    aggregate_id,
    aggregate_version,
    NULL::bigint AS "position",
    event_type,
    event_data::text AS event_data,
    event_metadata::text AS event_metadata,
    request_id,
    event_timestamp,
    CASE WHEN CURRENT_SETTING('track_commit_timestamp') = 'on' THEN PG_XACT_COMMIT_TIMESTAMP(xmin) END AS committed_at,
    MD5(ROW(
        event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data::text,
        event_metadata::text, tenant_id, user_id, correlation_id, causation_id, legal_basis, data_classification,
        retention_policy, ip_address, user_agent, session_id, request_id, event_hash, previous_event_hash,
        event_timestamp, created_at
    )::text) AS digest
FROM public.event_store
ORDER BY tenant_id, aggregate_type, aggregate_id, aggregate_version
