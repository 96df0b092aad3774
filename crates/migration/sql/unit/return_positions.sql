-- Gives back what a unit did not use of its block, where no block was drawn below it meanwhile.
-- $1 tenant id, $2 month, $3 lease token
WITH unit AS MATERIALIZED (
    SELECT tenant_id, position_next, position_last
    FROM public.event_store_backfill_unit
    WHERE direction = 'forward'
        AND tenant_id = $1
        AND month_start = $2
        AND lease_token = $3
        AND position_next >= position_last
    FOR UPDATE
),
returned AS (
    UPDATE public.event_store_tenant AS tenant
    SET history_position = unit.position_next + 1
    FROM unit
    WHERE tenant.tenant_id = unit.tenant_id
        AND tenant.history_position = unit.position_last
    RETURNING tenant.tenant_id
)
UPDATE public.event_store_backfill_unit AS emptied
SET position_next = NULL, position_last = NULL
FROM unit
LEFT JOIN returned ON returned.tenant_id = unit.tenant_id
WHERE emptied.direction = 'forward'
    AND emptied.tenant_id = $1
    AND emptied.month_start = $2
    AND emptied.lease_token = $3
