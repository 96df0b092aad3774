-- Why:   the registry of tenants: the short number that names a tenant's partitions, the counters that its positions are
--        drawn from, and how long its events are kept.
-- Lock:  none that anybody waits for: the table is new.
-- Time:  milliseconds.
-- Phase: before dual.
CREATE TABLE public.event_store_tenant (
    tenant_id varchar(255) NOT NULL,
    tenant_number integer GENERATED ALWAYS AS IDENTITY,
    partition_name text NOT NULL,
    layout text NOT NULL DEFAULT 'own',
    last_position bigint NOT NULL DEFAULT 0,
    history_position bigint NOT NULL DEFAULT 0,
    retention_months integer,
    retention_floor timestamptz NOT NULL DEFAULT '-infinity',
    legal_hold boolean NOT NULL DEFAULT false,
    backfilled_at timestamptz,
    verified_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT event_store_tenant_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT event_store_tenant_number_key UNIQUE (tenant_number),
    CONSTRAINT event_store_tenant_id_not_empty CHECK (tenant_id <> ''),
    CONSTRAINT event_store_tenant_layout_known CHECK (layout IN ('own', 'bucket')),
    CONSTRAINT event_store_tenant_last_position_counts_up CHECK (last_position >= 0),
    CONSTRAINT event_store_tenant_history_position_counts_down CHECK (history_position <= 0),
    CONSTRAINT event_store_tenant_retention_months_bounded CHECK (retention_months BETWEEN 0 AND 1200)
)
-- Each append rewrites its tenant's row: the free third of a page keeps those updates HOT (no index is touched).
WITH (fillfactor = 70);

COMMENT ON TABLE public.event_store_tenant IS 'one row a tenant: registry, position counters, retention';
COMMENT ON COLUMN public.event_store_tenant.tenant_number IS 'short and stable; partition names are made of it, never of the tenant''s text';
COMMENT ON COLUMN public.event_store_tenant.partition_name IS 'bare name of the tenant''s table in schema event_store_partitions';
COMMENT ON COLUMN public.event_store_tenant.layout IS 'own: partitions of its own; bucket: shares a table with others';
COMMENT ON COLUMN public.event_store_tenant.last_position IS 'last position given to a live event; 0 before the first';
COMMENT ON COLUMN public.event_store_tenant.history_position IS 'lowest position given to history; counts down from 0';
COMMENT ON COLUMN public.event_store_tenant.retention_months IS 'overrides the run''s retention; 0 keeps for ever, NULL takes the run''s';
COMMENT ON COLUMN public.event_store_tenant.retention_floor IS 'events before this instant are gone, in every table; never goes down; -infinity keeps all';
COMMENT ON COLUMN public.event_store_tenant.legal_hold IS 'while true the floor stays and no month is dropped';
COMMENT ON COLUMN public.event_store_tenant.backfilled_at IS 'when the backfill last found nothing left to copy';
COMMENT ON COLUMN public.event_store_tenant.verified_at IS 'when verify last proved both tables equal';
