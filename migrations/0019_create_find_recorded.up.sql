-- Why:   once legacy is not written any more, nothing but the partitioned table knows which event ids are recorded. Lanes
--        keep generic plans, and a generic plan of a SELECT locks every partition of every tenant; this function plans
--        each call for its own values, so that it locks the months asked for and no other.
-- Lock:  none to create it. When called: ACCESS SHARE on the months of the given tenants between the two instants.
-- Time:  milliseconds. When called: one index probe an id and month.
-- Phase: before finalized.
CREATE FUNCTION public.event_store_find_recorded(
    p_tenant_ids text[], p_event_ids uuid[], p_from timestamptz, p_to timestamptz
) RETURNS TABLE (
    tenant_id text, event_id uuid, event_type text, aggregate_type text, aggregate_id text,
    aggregate_version integer, event_data text, event_metadata text, event_timestamp timestamptz
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT
        recorded.tenant_id::text, recorded.event_id, recorded.event_type::text, recorded.aggregate_type::text,
        recorded.aggregate_id::text, recorded.aggregate_version, recorded.event_data::text,
        recorded.event_metadata::text, recorded.event_timestamp
    FROM public.event_store_partitioned AS recorded
    WHERE recorded.tenant_id = ANY (p_tenant_ids)
        AND recorded.event_id = ANY (p_event_ids)
        AND recorded.event_timestamp BETWEEN p_from AND p_to;
END
$$;

COMMENT ON FUNCTION public.event_store_find_recorded(text[], uuid[], timestamptz, timestamptz) IS
    'The events of these tenants with these ids whose event_timestamp lies between the two instants, both included; locks the months between them alone, whatever the session''s plan_cache_mode.';
