-- Whether a tenant may be maintained without being asked for by name: it is registered, or there is room for a new one.
-- $1 tenant id, $2 most tenants with partitions of their own
SELECT
    EXISTS (SELECT FROM public.event_store_tenant WHERE tenant_id = $1)
    OR (SELECT COUNT(*) FROM public.event_store_tenant WHERE layout = 'own') < $2 AS "has_room!"
