-- Makes this session the one that maintains partitions, until it ends; false while another one is.
-- Two numbers of Partita's own ("prtm", 0): advisory locks are shared with the rest of the database.
SELECT pg_try_advisory_lock(x'7072746d'::integer, 0) AS "leads!"
