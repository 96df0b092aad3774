-- The phase, and where a stream stands by its own record: one row, whether the stream exists or not.
-- $1 tenant id, $2 aggregate type, $3 aggregate id
-- A tenant that was proved equal since the fence went up stays so, and is read without legacy from then on.
SELECT
    control.phase,
    COALESCE(tenant.verified_at >= control.fenced_at, false) AS "is_verified!",
    stream.version AS "stream_version?",
    stream.first_timestamp AS "first_timestamp?",
    stream.last_timestamp AS "last_timestamp?"
FROM public.event_store_control AS control
LEFT JOIN public.event_store_tenant AS tenant
    ON tenant.tenant_id = $1
LEFT JOIN public.event_store_stream AS stream
    ON stream.tenant_id = $1
    AND stream.aggregate_type = $2
    AND stream.aggregate_id = $3
ORDER BY control.singleton
LIMIT 1
