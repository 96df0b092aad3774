-- Whether the legacy table has the index that pages are read by; and the instant, for what the plan meets from now on.
SELECT public.event_store_legacy_is_ordered_by_time() AS "is_ordered!", clock_timestamp() AS "now!"
