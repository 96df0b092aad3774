-- Sessions that hold what maintenance of a tenant has to wait for, those with the oldest transaction first.
-- $1 tenant id, $2 most rows
-- A detach waits for everybody who has the tenant's table open, in whatever mode; a new tenant for those who change the
-- root; every step for another one that works on the same tenant. Without pg_read_all_stats, sessions of other roles
-- have neither state nor age.
WITH tenant_relation AS (
    SELECT tenant.tenant_table AS relation FROM public.event_store_partition_tenant($1) AS tenant
    UNION ALL
    SELECT leaf.leaf FROM public.event_store_partition_leaf($1) AS leaf
),
holder AS (
    SELECT DISTINCT held.pid
    FROM pg_catalog.pg_locks AS held
    WHERE held.granted
        AND held.pid <> pg_backend_pid()
        AND held.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
        AND (
            held.relation IN (SELECT relation FROM tenant_relation)
            OR (
                held.relation = 'public.event_store_partitioned'::regclass
                AND held.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')
            )
            -- event_store_lock_partitions
            OR (
                held.locktype = 'advisory'
                AND held.classid::bigint = x'70727461'::bigint
                AND held.objid::bigint = hashtext($1)::bigint & x'ffffffff'::bigint
                AND held.objsubid = 2
            )
        )
)
SELECT
    activity.pid AS "pid!",
    COALESCE(NULLIF(activity.application_name, ''), activity.backend_type, '') AS "application!",
    activity.state,
    GREATEST(EXTRACT(epoch FROM clock_timestamp() - activity.xact_start), 0)::bigint AS transaction_seconds
FROM holder
JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = holder.pid
ORDER BY activity.xact_start NULLS LAST, activity.pid
LIMIT $2
