-- Why:   the phases past dual, and the only way from one to another: a function each. The fence makes the legacy table refuse
--        every writer that does not write both tables; finalize leaves the legacy table behind; restore brings it back.
-- Lock:  ACCESS EXCLUSIVE on the control row's table, given up after 2 s. When called: SHARE ROW EXCLUSIVE on both tables of
--        events (root and legacy alone, no leaf) until the call's transaction ends, given up after 250 ms with 55P03:
--        writers wait behind it, readers do not. An autovacuum of the legacy table holds it up: try again, or end it.
-- Time:  milliseconds, whatever the size of the tables.
-- Phase: before fenced.
SET LOCAL lock_timeout = '2s';

ALTER TABLE public.event_store_control
    DROP CONSTRAINT event_store_control_phase_known,
    ADD CONSTRAINT event_store_control_phase_known CHECK (phase IN ('open', 'fenced', 'restoring', 'finalized')),
    ADD COLUMN fenced_at timestamptz,
    ADD CONSTRAINT event_store_control_fenced_unless_open CHECK ((phase = 'open') = (fenced_at IS NULL));

COMMENT ON COLUMN public.event_store_control.phase IS
    'open: each process''s DB_PARTITIONS_V1 decides; fenced: both tables are written, by all; finalized: partitioned alone; restoring: both again, while legacy is filled up. Changed by functions only: event_store_raise_fence and its neighbours';
COMMENT ON COLUMN public.event_store_control.fenced_at IS
    'when the fence went up; no writer of legacy alone has committed since. A tenant whose verified_at is not before it is proved equal for good. NULL while open';

CREATE TABLE public.event_store_phase_change (
    id bigint GENERATED ALWAYS AS IDENTITY,
    changed_at timestamptz NOT NULL,
    changed_by text NOT NULL,
    phase_from text NOT NULL,
    phase_to text NOT NULL,
    CONSTRAINT event_store_phase_change_pkey PRIMARY KEY (id),
    CONSTRAINT event_store_phase_change_by_not_empty CHECK (changed_by <> '')
);

COMMENT ON TABLE public.event_store_phase_change IS 'one row a change of the phase: who, when, from which, to which';

-- The fence itself. A code of its own, so that nobody takes it for a trigger of the platform's.
CREATE FUNCTION public.event_store_refuse_unfenced() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'insert into %.% refused: the table is fenced, and this session does not write both tables',
        TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'PTF01',
              HINT = 'append through partita with DB_PARTITIONS_V1=1, or take the fence down: partita migration unfence (restore, once finalized)';
END
$$;

COMMENT ON FUNCTION public.event_store_refuse_unfenced() IS
    'Trigger: the fence of the legacy table; refuses inserts with SQLSTATE PTF01 unless the session has partita.dual_write = on, which the sessions have that write both tables.';

-- Each recording statement opens both tables (or, once finalized, the partitioned one) for writing before it takes its
-- snapshot, and holds them until its commit. So while the locks below are held no such statement is under way, and the
-- next one sees the new phase. The partitioned table comes first, as in the statements: none waits for one of the two
-- with the other in its hands.
CREATE FUNCTION public.event_store_change_phase(p_from text, p_to text, p_by text) RETURNS timestamptz
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '250ms'
AS $$
DECLARE
    found_phase text;
    -- The clock, not the start of the transaction: writers may commit while the locks are waited for. No mark of a
    -- verification that is there already may count, even if another server's clock set it.
    instant timestamptz;
BEGIN
    IF coalesce(p_by, '') = '' THEN
        RAISE EXCEPTION 'nobody is named as the one who changes the phase' USING ERRCODE = 'invalid_parameter_value';
    END IF;

    SELECT control.phase INTO found_phase FROM event_store_control AS control FOR UPDATE;
    IF found_phase IS DISTINCT FROM p_from THEN
        RAISE EXCEPTION 'the phase is %, not %: it cannot become %', found_phase, p_from, p_to
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'the ways are open - fenced - finalized - restoring - open, and fenced - open';
    END IF;

    BEGIN
        LOCK TABLE ONLY public.event_store_partitioned IN SHARE ROW EXCLUSIVE MODE;
        LOCK TABLE public.event_store IN SHARE ROW EXCLUSIVE MODE;
    EXCEPTION
        WHEN lock_not_available THEN
            RAISE EXCEPTION 'phase % could not be left now: other sessions hold the tables of events', p_from
                USING ERRCODE = 'lock_not_available',
                      DETAIL = event_store_phase_blockers(),
                      HINT = 'try again; an autovacuum in the way may be ended with pg_cancel_backend';
    END;

    IF p_to = 'open' THEN
        DROP TRIGGER IF EXISTS event_store_fence ON public.event_store;
    ELSIF p_from = 'open' THEN
        CREATE TRIGGER event_store_fence
            BEFORE INSERT ON public.event_store
            FOR EACH STATEMENT
            WHEN (current_setting('partita.dual_write', true) IS DISTINCT FROM 'on')
            EXECUTE FUNCTION public.event_store_refuse_unfenced();
    END IF;

    instant := clock_timestamp();
    UPDATE event_store_control AS control
    SET phase = p_to,
        changed_at = instant,
        changed_by = p_by,
        fenced_at = CASE
            WHEN p_to = 'open' THEN NULL
            WHEN p_from <> 'open' THEN control.fenced_at
            ELSE GREATEST(
                instant,
                (SELECT max(tenant.verified_at) + interval '1 microsecond' FROM event_store_tenant AS tenant)
            )
        END;
    INSERT INTO event_store_phase_change (changed_at, changed_by, phase_from, phase_to)
    VALUES (instant, p_by, p_from, p_to);
    RETURN instant;
END
$$;

COMMENT ON FUNCTION public.event_store_change_phase(text, text, text) IS
    'For the functions that change the phase: takes the locks, checks the phase it comes from, moves fence and control row. Not to be called by hand.';

-- Who holds one of the tables of events so that the phase cannot change, for the error's detail.
CREATE FUNCTION public.event_store_phase_blockers() RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(
        string_agg(
            DISTINCT format(
                'pid %s (%s) holds %s on %s', held.pid,
                coalesce(nullif(activity.application_name, ''), activity.backend_type, 'prepared transaction'),
                held.mode, held.relation::regclass
            ),
            '; '
        ),
        'they are gone by now'
    )
    FROM pg_locks AS held
    LEFT JOIN pg_stat_activity AS activity ON activity.pid = held.pid
    WHERE held.locktype = 'relation'
        AND held.granted
        AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND held.relation IN ('public.event_store'::regclass, 'public.event_store_partitioned'::regclass)
        AND held.mode NOT IN ('AccessShareLock', 'RowShareLock')
        AND held.pid IS DISTINCT FROM pg_backend_pid()
$$;

COMMENT ON FUNCTION public.event_store_phase_blockers() IS
    'The sessions that keep event_store_change_phase from its locks, in words.';

CREATE FUNCTION public.event_store_raise_fence(p_by text) RETURNS timestamptz
LANGUAGE sql
SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT event_store_change_phase('open', 'fenced', p_by)
$$;

COMMENT ON FUNCTION public.event_store_raise_fence(text) IS
    'open to fenced: from its commit on, legacy refuses every writer that does not write both tables. Returns when; 55000 in another phase, 55P03 when the locks are not had within 250 ms: try again.';

CREATE FUNCTION public.event_store_lower_fence(p_by text) RETURNS timestamptz
LANGUAGE sql
SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT event_store_change_phase('fenced', 'open', p_by)
$$;

COMMENT ON FUNCTION public.event_store_lower_fence(text) IS
    'fenced to open: everybody may write legacy again. Returns when; 55000 and 55P03 as event_store_raise_fence.';

CREATE FUNCTION public.event_store_finalize(p_by text) RETURNS timestamptz
LANGUAGE sql
SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT event_store_change_phase('fenced', 'finalized', p_by)
$$;

COMMENT ON FUNCTION public.event_store_finalize(text) IS
    'fenced to finalized: legacy is not written any more. The caller has proved that every tenant is verified: this function does not look. Returns when; 55000 and 55P03 as event_store_raise_fence.';

CREATE FUNCTION public.event_store_begin_restore(p_by text) RETURNS timestamptz
LANGUAGE sql
SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT event_store_change_phase('finalized', 'restoring', p_by)
$$;

COMMENT ON FUNCTION public.event_store_begin_restore(text) IS
    'finalized to restoring: both tables are written again, and legacy is to be filled up, by a session with partita.dual_write = on. Returns when; 55000 and 55P03 as event_store_raise_fence.';

CREATE FUNCTION public.event_store_end_restore(p_by text) RETURNS timestamptz
LANGUAGE sql
SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT event_store_change_phase('restoring', 'open', p_by)
$$;

COMMENT ON FUNCTION public.event_store_end_restore(text) IS
    'restoring to open: the fence goes, and legacy is an arbiter again. The caller has proved that legacy holds every event: this function does not look. Returns when; 55000 and 55P03 as event_store_raise_fence.';
