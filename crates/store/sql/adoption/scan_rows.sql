-- One pass over the legacy table: what single rows hold that cannot be copied, or would be lost on the way.
-- $1 most months ahead of an event's time
-- Every column is compared as text or cast, so that the statement runs on a table whose types are not ours.
SELECT
    COUNT(*) AS "rows!",
    COUNT(*) FILTER (WHERE event_id IS NULL) AS "null_event_id!",
    COUNT(*) FILTER (WHERE event_type IS NULL) AS "null_event_type!",
    COUNT(*) FILTER (WHERE aggregate_type IS NULL) AS "null_aggregate_type!",
    COUNT(*) FILTER (WHERE aggregate_id IS NULL) AS "null_aggregate_id!",
    COUNT(*) FILTER (WHERE aggregate_version IS NULL) AS "null_aggregate_version!",
    COUNT(*) FILTER (WHERE event_data IS NULL) AS "null_event_data!",
    COUNT(*) FILTER (WHERE tenant_id IS NULL) AS "null_tenant_id!",
    COUNT(*) FILTER (WHERE user_id IS NULL) AS "null_user_id!",
    COUNT(*) FILTER (WHERE event_hash IS NULL) AS "null_event_hash!",
    COUNT(*) FILTER (WHERE event_timestamp IS NULL) AS "null_event_timestamp!",
    COUNT(*) FILTER (WHERE created_at IS NULL) AS "null_created_at!",
    COUNT(*) FILTER (WHERE tenant_id::text = '') AS "empty_tenants!",
    COUNT(*) FILTER (WHERE aggregate_version::numeric NOT BETWEEN 1 AND 2147483647) AS "odd_versions!",
    COUNT(*) FILTER (WHERE NOT ISFINITE(event_timestamp::timestamptz)) AS "infinite_times!",
    COUNT(*) FILTER (
        WHERE ISFINITE(event_timestamp::timestamptz)
            AND (
                event_timestamp::timestamptz < '0001-01-01 00:00:00+00'
                OR event_timestamp::timestamptz >= '10000-01-01 00:00:00+00'
            )
    ) AS "times_out_of_years!",
    COUNT(*) FILTER (
        WHERE ISFINITE(event_timestamp::timestamptz)
            AND event_timestamp::timestamptz < '10000-01-01 00:00:00+00'
            AND event_timestamp::timestamptz > now() + make_interval(months => $1)
    ) AS "times_far_ahead!",
    COUNT(*) FILTER (
        WHERE char_length(tenant_id::text) > 255
            OR char_length(aggregate_id::text) > 255
            OR char_length(user_id::text) > 255
            OR char_length(correlation_id::text) > 255
            OR char_length(session_id::text) > 255
            OR char_length(request_id::text) > 255
            OR char_length(event_type::text) > 100
            OR char_length(aggregate_type::text) > 100
            OR char_length(retention_policy::text) > 100
            OR char_length(legal_basis::text) > 50
            OR char_length(data_classification::text) > 50
            OR char_length(event_hash::text) > 64
            OR char_length(previous_event_hash::text) > 64
    ) AS "too_long!"
FROM public.event_store
LIMIT 1
