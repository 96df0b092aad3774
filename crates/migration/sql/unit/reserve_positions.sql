-- Gives a unit a new block of positions, below all that history has. What is left of an older block is lost: history may have
-- gaps.
-- $1 tenant id, $2 month, $3 lease token, $4 how many
-- The tenant's row is what appends lock: a transaction of its own, that does nothing else.
WITH unit AS MATERIALIZED (
    SELECT tenant_id
    FROM public.event_store_backfill_unit
    WHERE direction = 'forward' AND tenant_id = $1 AND month_start = $2 AND lease_token = $3 AND state = 'copying'
    FOR UPDATE
),
drawn AS (
    UPDATE public.event_store_tenant AS tenant
    SET history_position = tenant.history_position - $4
    FROM unit
    WHERE tenant.tenant_id = unit.tenant_id
    RETURNING tenant.history_position
)
UPDATE public.event_store_backfill_unit AS reserved
SET position_next = drawn.history_position + $4 - 1,
    position_last = drawn.history_position
FROM drawn
WHERE reserved.direction = 'forward'
    AND reserved.tenant_id = $1
    AND reserved.month_start = $2
    AND reserved.lease_token = $3
RETURNING reserved.position_next - reserved.position_last + 1 AS "room!"
