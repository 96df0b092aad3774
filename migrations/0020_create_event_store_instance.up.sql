-- Why:   who serves this database: a change of the phase must not leave a process behind that contradicts it.
-- Lock:  none that anybody waits for: the table is new.
-- Time:  milliseconds.
-- Phase: before fenced.
CREATE TABLE public.event_store_instance (
    id uuid NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    flag boolean NOT NULL,
    phase text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT event_store_instance_pkey PRIMARY KEY (id),
    CONSTRAINT event_store_instance_phase_known
        CHECK (phase IN ('legacy', 'dual', 'fenced', 'restoring', 'finalized', 'contradiction'))
)
-- Each heartbeat rewrites its row: the free half of a page keeps those updates HOT (no index is touched).
WITH (fillfactor = 50);

COMMENT ON TABLE public.event_store_instance IS
    'one row a serving process, from its start to its end; releases without this table, and other programs, are not in it';
COMMENT ON COLUMN public.event_store_instance.flag IS 'DB_PARTITIONS_V1 of the process';
COMMENT ON COLUMN public.event_store_instance.phase IS
    'the phase that it serves in, as of its last heartbeat; contradiction: it does not serve, for its flag contradicts the control row';
COMMENT ON COLUMN public.event_store_instance.heartbeat_at IS
    'written every 5 s; a process whose row is older than half a minute is dead or cut off. Rows older than a day are removed';
