-- As deploy/compose/init.sql (kustomize reads no file from outside its folder; .ci/deploy compares the two).
CREATE ROLE event_store_app NOLOGIN;
CREATE ROLE event_store_maintenance NOLOGIN;
CREATE ROLE event_store_reader NOLOGIN;
CREATE ROLE partita_owner LOGIN PASSWORD 'owner';
CREATE ROLE partita_app LOGIN PASSWORD 'app' IN ROLE event_store_app;
GRANT pg_read_all_stats TO partita_owner, partita_app;
ALTER DATABASE partita OWNER TO partita_owner;
-- Since PostgreSQL 15 nobody but the owner may create in public.
GRANT USAGE, CREATE ON SCHEMA public TO partita_owner;
