-- Whether an index of the legacy table begins with tenant_id.
SELECT public.event_store_legacy_is_led_by_tenant() AS "is_led!"
