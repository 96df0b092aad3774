-- Why:   what the backfill is told to do, and how far it has come. Workers of several processes read the one and share out
--        the other by leases, so that whoever is killed loses nothing but time.
-- Lock:  none that anybody waits for: the tables are new.
-- Time:  milliseconds.
-- Phase: before dual.
CREATE TABLE public.event_store_backfill (
    singleton boolean NOT NULL DEFAULT true,
    direction text NOT NULL DEFAULT 'forward',
    state text NOT NULL DEFAULT 'stopped',
    workers integer NOT NULL DEFAULT 2,
    rows_per_second integer DEFAULT 5000,
    lag_ms_max integer DEFAULT 5000,
    lock_waits_max integer DEFAULT 8,
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by text NOT NULL DEFAULT current_user,
    started_at timestamptz,
    finished_at timestamptz,
    CONSTRAINT event_store_backfill_pkey PRIMARY KEY (singleton),
    CONSTRAINT event_store_backfill_one_row CHECK (singleton),
    CONSTRAINT event_store_backfill_direction_known CHECK (direction IN ('forward', 'restore')),
    CONSTRAINT event_store_backfill_state_known CHECK (state IN ('stopped', 'running', 'paused', 'finished')),
    CONSTRAINT event_store_backfill_workers_bounded CHECK (workers BETWEEN 1 AND 64),
    CONSTRAINT event_store_backfill_rate_bounded CHECK (rows_per_second BETWEEN 1 AND 10000000),
    CONSTRAINT event_store_backfill_lag_bounded CHECK (lag_ms_max BETWEEN 1 AND 86400000),
    CONSTRAINT event_store_backfill_lock_waits_bounded CHECK (lock_waits_max BETWEEN 1 AND 100000)
);

COMMENT ON TABLE public.event_store_backfill IS 'exactly one row: what the workers of all processes are to do; they read it after every page';
COMMENT ON COLUMN public.event_store_backfill.direction IS 'forward: legacy to partitioned; restore: partitioned to legacy';
COMMENT ON COLUMN public.event_store_backfill.state IS
    'stopped: never begun, or cancelled; running; paused: to be resumed; finished: the last run found nothing left to do';
COMMENT ON COLUMN public.event_store_backfill.workers IS 'units that are copied at a time, over all processes';
COMMENT ON COLUMN public.event_store_backfill.rows_per_second IS 'most rows a second, all workers together; NULL for no limit';
COMMENT ON COLUMN public.event_store_backfill.lag_ms_max IS 'workers wait while a replica lags by more milliseconds; NULL for no limit';
COMMENT ON COLUMN public.event_store_backfill.lock_waits_max IS 'workers wait while more sessions than these wait for locks; NULL for no limit';

INSERT INTO public.event_store_backfill DEFAULT VALUES;

CREATE TABLE public.event_store_backfill_unit (
    direction text NOT NULL,
    tenant_id varchar(255) NOT NULL,
    month_start timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'pending',
    rows_estimated bigint,
    rows_total bigint,
    rows_scanned bigint NOT NULL DEFAULT 0,
    rows_copied bigint NOT NULL DEFAULT 0,
    bytes_copied bigint NOT NULL DEFAULT 0,
    rows_left bigint,
    rows_per_second double precision,
    throttle text,
    position_next bigint,
    position_last bigint,
    cursor_timestamp timestamptz,
    cursor_type text,
    cursor_id text,
    cursor_version bigint,
    cursor_event_id text,
    pass integer NOT NULL DEFAULT 0,
    pass_started_at timestamptz,
    lease_owner text,
    lease_token uuid,
    lease_pid integer,
    lease_backend_start timestamptz,
    lease_until timestamptz,
    heartbeat_at timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    retry_at timestamptz NOT NULL DEFAULT '-infinity',
    last_error text,
    planned_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    CONSTRAINT event_store_backfill_unit_pkey PRIMARY KEY (direction, tenant_id, month_start),
    CONSTRAINT event_store_backfill_unit_direction_known CHECK (direction IN ('forward', 'restore')),
    CONSTRAINT event_store_backfill_unit_state_known CHECK (state IN ('pending', 'copying', 'done', 'failed')),
    CONSTRAINT event_store_backfill_unit_leased_while_copying CHECK ((state = 'copying') = (lease_token IS NOT NULL))
)
-- Each page rewrites its unit's row: the free half of a page keeps those updates HOT (no index is touched).
WITH (fillfactor = 50);

COMMENT ON TABLE public.event_store_backfill_unit IS
    'one row a month of a tenant; a hint of progress: what is left to copy is what an anti-join finds';
COMMENT ON COLUMN public.event_store_backfill_unit.month_start IS 'first instant of the UTC month';
COMMENT ON COLUMN public.event_store_backfill_unit.state IS
    'pending; copying: by the holder of the lease; done: nothing was left; failed: too many attempts in a row, last_error says why, a start tries again';
COMMENT ON COLUMN public.event_store_backfill_unit.rows_estimated IS 'rows of the source, by the planner''s statistics when planned';
COMMENT ON COLUMN public.event_store_backfill_unit.rows_total IS 'rows to copy, counted when a worker took the unit up; NULL until then';
COMMENT ON COLUMN public.event_store_backfill_unit.rows_scanned IS 'rows of the source that the passes since the start went by';
COMMENT ON COLUMN public.event_store_backfill_unit.bytes_copied IS 'their documents, as stored in the source';
COMMENT ON COLUMN public.event_store_backfill_unit.rows_left IS 'rows that the last count found not copied, without those in quarantine';
COMMENT ON COLUMN public.event_store_backfill_unit.throttle IS 'what slows the worker down, in words; NULL for nothing';
COMMENT ON COLUMN public.event_store_backfill_unit.position_next IS 'the next position of the block that is reserved for the unit; counts down';
COMMENT ON COLUMN public.event_store_backfill_unit.position_last IS 'the last position of the block';
COMMENT ON COLUMN public.event_store_backfill_unit.cursor_timestamp IS 'with the other cursor columns: the last row that a pass went by; NULL at its beginning';
COMMENT ON COLUMN public.event_store_backfill_unit.lease_token IS 'drawn anew with each lease: a worker whose token is stale writes nothing';
COMMENT ON COLUMN public.event_store_backfill_unit.lease_pid IS 'with lease_backend_start: the session that holds the lease; gone, the unit is free at once';
COMMENT ON COLUMN public.event_store_backfill_unit.retry_at IS 'not taken up before';
