-- What the control row says.
SELECT phase
FROM public.event_store_control
ORDER BY singleton
LIMIT 1
