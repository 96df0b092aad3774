-- Why:   the table that appends move to: by tenant (LIST), then by UTC month (RANGE). Here is its root only; tenants and
--        months are attached by the functions of 0009.
-- Lock:  none that anybody waits for: the table and its schema are new.
-- Time:  milliseconds.
-- Phase: before dual.

-- Tenant tables and months live apart from what people query: thousands of them would drown `public`.
CREATE SCHEMA event_store_partitions;
COMMENT ON SCHEMA event_store_partitions IS
    'partitions of public.event_store_partitioned: t<tenant number>, t<tenant number>_<year>_<month>';

-- Columns, types and nullability are those of a fresh legacy table, in its order; position comes last.
CREATE TABLE public.event_store_partitioned (
    event_id uuid NOT NULL,
    event_type varchar(100) NOT NULL,
    aggregate_type varchar(100) NOT NULL,
    aggregate_id varchar(255) NOT NULL,
    aggregate_version integer NOT NULL,
    event_data jsonb NOT NULL,
    event_metadata jsonb,
    tenant_id varchar(255) NOT NULL,
    user_id varchar(255) NOT NULL,
    correlation_id varchar(255),
    causation_id uuid,
    legal_basis varchar(50),
    data_classification varchar(50),
    retention_policy varchar(100),
    ip_address inet,
    user_agent text,
    session_id varchar(255),
    request_id varchar(255),
    event_hash varchar(64) NOT NULL,
    previous_event_hash varchar(64),
    event_timestamp timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    position bigint NOT NULL,
    -- The only key that a parent can declare: it must hold both partition keys. Version and position are unique leaf by leaf.
    CONSTRAINT event_store_partitioned_pkey PRIMARY KEY (tenant_id, event_id, event_timestamp),
    CONSTRAINT event_store_partitioned_version_positive CHECK (aggregate_version >= 1)
) PARTITION BY LIST (tenant_id);

-- No DEFAULT partition, at this level or the next: one row in it would make every later ATTACH scan and lock it.

-- A row trigger on the root is cloned to each partition at its ATTACH, and leaves the INSERT path alone.
CREATE TRIGGER event_store_partitioned_refuse_change
    BEFORE UPDATE OR DELETE ON public.event_store_partitioned
    FOR EACH ROW EXECUTE FUNCTION public.event_store_refuse_change();
CREATE TRIGGER event_store_partitioned_refuse_truncate
    BEFORE TRUNCATE ON public.event_store_partitioned
    FOR EACH STATEMENT EXECUTE FUNCTION public.event_store_refuse_change();

COMMENT ON TABLE public.event_store_partitioned IS
    'one row an event, immutable; LIST (tenant_id), then RANGE (event_timestamp) by UTC month';
COMMENT ON COLUMN public.event_store_partitioned.position IS
    'place in the tenant''s feed: gapless, in commit order; history counts down from 0';

-- One answer to "may this be taken back?", asked by every down migration from here on.
CREATE FUNCTION public.event_store_partitioned_holds_only_copy() RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (
        SELECT FROM public.event_store_partitioned AS copied
        WHERE NOT EXISTS (
            SELECT FROM public.event_store AS legacy
            WHERE legacy.tenant_id = copied.tenant_id AND legacy.event_id = copied.event_id
        )
    )
$$;

COMMENT ON FUNCTION public.event_store_partitioned_holds_only_copy() IS
    'True when some event is in event_store_partitioned and not in event_store. Reads both tables whole: for migrations, not for the service.';
