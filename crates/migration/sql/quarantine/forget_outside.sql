-- Forgets the rows that belong to no month and were not met again: they were mended, or are gone.
-- $1 when the plan that looked for them began
DELETE FROM public.event_store_quarantine
WHERE direction = 'forward' AND month_start IS NULL AND last_seen < $1
