-- Detached months whose grace period is over, oldest first. Whether they may go is asked again when they are dropped.
-- $1 tenant id
SELECT waiting.partition_name, waiting.range_start, waiting.range_end
FROM public.event_store_detached AS waiting
JOIN public.event_store_tenant AS tenant ON tenant.tenant_id = waiting.tenant_id
WHERE waiting.tenant_id = $1
    AND waiting.dropped_at IS NULL
    AND waiting.drop_after <= now()
    AND waiting.range_end <= tenant.retention_floor
    AND NOT tenant.legal_hold
ORDER BY waiting.range_start, waiting.partition_name
LIMIT 10000
