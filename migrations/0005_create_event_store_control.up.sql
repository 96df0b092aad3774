-- Why:   the control row: the one word that the whole fleet obeys. The environment of a process permits a phase, this row
--        decides it.
-- Lock:  none that anybody waits for: the table is new.
-- Time:  milliseconds.
-- Phase: before dual; it starts out as open, where each process's DB_PARTITIONS_V1 chooses between legacy and dual.
CREATE TABLE public.event_store_control (
    singleton boolean NOT NULL DEFAULT true,
    phase text NOT NULL DEFAULT 'open',
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by text NOT NULL DEFAULT current_user,
    CONSTRAINT event_store_control_pkey PRIMARY KEY (singleton),
    CONSTRAINT event_store_control_one_row CHECK (singleton),
    CONSTRAINT event_store_control_phase_known CHECK (phase IN ('open', 'fenced', 'finalized'))
);

COMMENT ON TABLE public.event_store_control IS 'exactly one row: the phase of the whole fleet';
COMMENT ON COLUMN public.event_store_control.singleton IS 'always true: the key that admits no second row';
COMMENT ON COLUMN public.event_store_control.phase IS
    'open: each process''s DB_PARTITIONS_V1 decides; fenced: both tables are written, by all; finalized: partitioned alone';
COMMENT ON COLUMN public.event_store_control.changed_by IS 'who set the phase: a database role or an operator''s name';

INSERT INTO public.event_store_control DEFAULT VALUES;
