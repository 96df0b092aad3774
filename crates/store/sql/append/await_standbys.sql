-- Writes a message to the log that means nothing to anybody. Its commit waits for synchronous standbys, where there are
-- any, and so for everything that was committed before it.
SELECT pg_logical_emit_message(true, 'partita', '')::text AS logged
