-- Why:   what the backfill could not copy, and what verify found to differ: by keys, with a reason, until it is mended. Both
--        block the phases that lean on equal tables.
-- Lock:  none that anybody waits for: the tables are new.
-- Time:  milliseconds.
-- Phase: before dual.

-- Keys as text, each of them NULLable: such a row may lack any of them, or hold what no uuid or integer can.
CREATE TABLE public.event_store_quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY,
    direction text NOT NULL DEFAULT 'forward',
    row_key text NOT NULL,
    tenant_id text,
    month_start timestamptz,
    event_id text,
    aggregate_type text,
    aggregate_id text,
    aggregate_version text,
    event_timestamp text,
    code text NOT NULL,
    reason text NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT event_store_quarantine_pkey PRIMARY KEY (id),
    CONSTRAINT event_store_quarantine_row_key UNIQUE (direction, row_key),
    CONSTRAINT event_store_quarantine_direction_known CHECK (direction IN ('forward', 'restore'))
);
CREATE INDEX event_store_quarantine_unit_idx ON public.event_store_quarantine (direction, tenant_id, month_start);

COMMENT ON TABLE public.event_store_quarantine IS 'one row a row that could not be copied; it goes when a pass no longer meets it';
COMMENT ON COLUMN public.event_store_quarantine.row_key IS 'MD5 of its keys, see event_store_row_key';
COMMENT ON COLUMN public.event_store_quarantine.month_start IS 'its unit''s month; NULL for a row that belongs to no unit';
COMMENT ON COLUMN public.event_store_quarantine.code IS 'SQLSTATE of the refusal, or odd for a row that belongs to no unit';

CREATE TABLE public.event_store_mismatch (
    id bigint GENERATED ALWAYS AS IDENTITY,
    row_key text NOT NULL,
    tenant_id text NOT NULL,
    month_start timestamptz,
    event_id text,
    aggregate_type text,
    aggregate_id text,
    aggregate_version bigint,
    reason text NOT NULL,
    columns text[] NOT NULL DEFAULT '{}',
    found_at timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now(),
    repaired_at timestamptz,
    CONSTRAINT event_store_mismatch_pkey PRIMARY KEY (id),
    CONSTRAINT event_store_mismatch_reason_known CHECK (reason IN (
        'missing_in_partitioned', 'missing_in_legacy', 'columns_differ', 'head_differs', 'outside_of_months'
    ))
);
CREATE UNIQUE INDEX event_store_mismatch_open_key ON public.event_store_mismatch (reason, row_key)
WHERE repaired_at IS NULL;
CREATE INDEX event_store_mismatch_unit_idx ON public.event_store_mismatch (tenant_id, month_start)
WHERE repaired_at IS NULL;

COMMENT ON TABLE public.event_store_mismatch IS 'one row a difference that verify found between the tables; open until repaired_at';
COMMENT ON COLUMN public.event_store_mismatch.row_key IS 'MD5 of the row''s keys, see event_store_row_key';
COMMENT ON COLUMN public.event_store_mismatch.month_start IS 'its unit''s month; NULL for a stream''s head';
COMMENT ON COLUMN public.event_store_mismatch.reason IS
    'missing_in_partitioned, missing_in_legacy; columns_differ: columns says which; head_differs: event_store_stream is not at the last version; outside_of_months: a row that belongs to no month of four-digit years';
COMMENT ON COLUMN public.event_store_mismatch.repaired_at IS 'when a later verify no longer found it';
