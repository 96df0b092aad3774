-- A page of a tenant's feed, by position: each row of the partitioned table beside what the legacy table and the stream's
-- record say of the event.
-- $1 tenant id, $2 position and $3 event id of the last row of the page before, $4 most rows
-- Documents are compared as they are printed: jsonb itself holds 1.0 and 1.00 for equal, the hash does not. The instant
-- of recording is held within the years that a program can hold, whatever was written there. A row of legacy with the same id,
-- but of another time and place, is another event: the id was used again while legacy was not written.
WITH page AS MATERIALIZED (
    SELECT
        event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata,
        tenant_id, user_id, correlation_id, causation_id, legal_basis, data_classification, retention_policy,
        ip_address, user_agent, session_id, request_id, event_hash, previous_event_hash, event_timestamp,
        created_at, "position"
    FROM public.event_store_partitioned
    WHERE tenant_id = $1
        AND "position" >= $2
        AND ("position", event_id) > ($2, $3)
    ORDER BY "position", event_id
    LIMIT $4
)
SELECT
    page.event_id AS "event_id!",
    page.aggregate_type AS "aggregate_type!",
    page.aggregate_id AS "aggregate_id!",
    page.aggregate_version AS "aggregate_version!",
    page.event_timestamp AS "event_timestamp!",
    GREATEST(LEAST(page.created_at, '9999-12-31 UTC'), '0001-01-01 UTC') AS "created_at!",
    page."position" AS "position!",
    COALESCE(
        page."position" BETWEEN 1 AND tenant.last_position OR page."position" BETWEEN tenant.history_position AND -1,
        true
    ) AS "is_drawn!",
    (SELECT phase FROM public.event_store_control WHERE singleton) AS "phase!",
    legacy.event_id IS NOT NULL AS "is_in_legacy!",
    CASE
        WHEN legacy.event_id IS NOT NULL THEN false
        ELSE EXISTS (
            SELECT
            FROM public.event_store_quarantine AS row
            WHERE row.direction = 'restore'
                AND row.tenant_id = page.tenant_id
                AND row.event_id = page.event_id::text
                AND row.aggregate_version = page.aggregate_version::text
                AND row.accepted_at IS NOT NULL
        )
    END AS "is_accepted!",
    ROW(
        page.event_id, page.event_type, page.aggregate_type, page.aggregate_id, page.aggregate_version,
        page.event_data::text, page.event_metadata::text, page.tenant_id, page.user_id, page.correlation_id,
        page.causation_id, page.legal_basis, page.data_classification, page.retention_policy, page.ip_address,
        page.user_agent, page.session_id, page.request_id, page.event_hash, page.previous_event_hash,
        page.event_timestamp, page.created_at
    ) IS NOT DISTINCT FROM ROW(
        legacy.event_id, legacy.event_type, legacy.aggregate_type, legacy.aggregate_id, legacy.aggregate_version,
        legacy.event_data::text, legacy.event_metadata::text, legacy.tenant_id, legacy.user_id,
        legacy.correlation_id, legacy.causation_id, legacy.legal_basis, legacy.data_classification,
        legacy.retention_policy, legacy.ip_address, legacy.user_agent, legacy.session_id, legacy.request_id,
        legacy.event_hash, legacy.previous_event_hash, legacy.event_timestamp, legacy.created_at
    ) AS "is_same!",
    COALESCE(
        stream.version >= page.aggregate_version
            AND page.event_timestamp BETWEEN stream.first_timestamp AND stream.last_timestamp,
        false
    ) AS "is_covered!"
FROM page
LEFT JOIN public.event_store_tenant AS tenant
    ON tenant.tenant_id = page.tenant_id
LEFT JOIN public.event_store AS legacy
    ON legacy.tenant_id = page.tenant_id
    AND legacy.event_id = page.event_id
    AND (
        legacy.event_timestamp = page.event_timestamp
        OR (legacy.aggregate_type, legacy.aggregate_id, legacy.aggregate_version)
            = (page.aggregate_type, page.aggregate_id, page.aggregate_version)
    )
LEFT JOIN public.event_store_stream AS stream
    ON stream.tenant_id = page.tenant_id
    AND stream.aggregate_type = page.aggregate_type
    AND stream.aggregate_id = page.aggregate_id
ORDER BY page."position", page.event_id
LIMIT $4
