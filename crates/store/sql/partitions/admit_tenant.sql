-- Registers a tenant on its first write, unless there are as many as the service takes in by itself; says whether it is
-- registered.
-- $1 tenant id, $2 most tenants with partitions of their own
SELECT public.event_store_admit_tenant($1, $2) AS "admitted!"
