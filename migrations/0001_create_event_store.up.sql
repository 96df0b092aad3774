-- Why:   the legacy table. Most platforms bring their own, with years of history: it is adopted as it stands and
--        nothing about it is altered. Only a fresh install gets the table below.
-- Lock:  none on a table that exists; a new table is seen by nobody before the commit.
-- Time:  milliseconds, whatever the size of the legacy table.
-- Phase: before any (legacy).

-- A function of its own, not a rule: it answers with the table, the operation and what to do instead.
CREATE FUNCTION public.event_store_refuse_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '% on %.% refused: recorded events are immutable', lower(TG_OP), TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              HINT = 'append an event that corrects the earlier one; retention drops whole months';
END
$$;

COMMENT ON FUNCTION public.event_store_refuse_change() IS
    'Trigger: refuses every change of a recorded event with SQLSTATE 23001 (restrict_violation).';

DO $migration$
BEGIN
    IF to_regclass('public.event_store') IS NOT NULL THEN
        RAISE NOTICE 'public.event_store exists: adopted as it stands';
        RETURN;
    END IF;

    CREATE TABLE public.event_store (
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
        CONSTRAINT event_store_pkey PRIMARY KEY (event_id),
        CONSTRAINT event_store_version_key UNIQUE (tenant_id, aggregate_type, aggregate_id, aggregate_version),
        CONSTRAINT event_store_version_positive CHECK (aggregate_version >= 1)
    );

    -- The backfill walks a tenant's months, and the skip scan that lists the tenants needs an index led by tenant_id.
    CREATE INDEX event_store_tenant_time_idx ON public.event_store (tenant_id, event_timestamp);

    CREATE TRIGGER event_store_refuse_change
        BEFORE UPDATE OR DELETE ON public.event_store
        FOR EACH ROW EXECUTE FUNCTION public.event_store_refuse_change();
    CREATE TRIGGER event_store_refuse_truncate
        BEFORE TRUNCATE ON public.event_store
        FOR EACH STATEMENT EXECUTE FUNCTION public.event_store_refuse_change();

    -- The marker that the down migration looks for: without these words the table counts as adopted.
    COMMENT ON TABLE public.event_store IS
        'created by partita: the legacy table, one row an event, immutable';
END
$migration$;
