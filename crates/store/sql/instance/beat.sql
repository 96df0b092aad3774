-- Writes down that this process serves, and asks for the phase.
-- $1 its id, $2 host, $3 process number, $4 version, $5 flag, $6 the phase that it serves in
INSERT INTO public.event_store_instance AS instance (id, host, pid, version, flag, phase)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO UPDATE
SET phase = EXCLUDED.phase,
    heartbeat_at = EXCLUDED.heartbeat_at
RETURNING (SELECT control.phase FROM public.event_store_control AS control) AS "control!"
