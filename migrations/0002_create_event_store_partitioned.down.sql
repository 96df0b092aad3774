-- Why:   takes back the partitioned table with all its months, when legacy holds every event of it. Refuses where an
--        event would be lost, and where a detached month still waits in the schema.
-- Lock:  ACCESS EXCLUSIVE on every partition, given up after 2 s; past about 5,000 leaves raise
--        max_locks_per_transaction, or drop tenant tables one by one first.
-- Time:  one anti-join of both tables, then milliseconds a leaf. Stop the writers before.
-- Phase: legacy.
SET LOCAL lock_timeout = '2s';
LOCK TABLE public.event_store_partitioned IN ACCESS EXCLUSIVE MODE;

DO $migration$
DECLARE
    detached text;
BEGIN
    IF public.event_store_partitioned_holds_only_copy() THEN
        RAISE EXCEPTION 'event_store_partitioned holds events that event_store does not: not dropped'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'restore the legacy table first (partita migration restore), then go down again';
    END IF;

    SELECT string_agg(relation.relname, ', ' ORDER BY relation.relname) INTO detached
    FROM pg_catalog.pg_class AS relation
    WHERE relation.relnamespace = 'event_store_partitions'::regnamespace
        AND relation.relkind IN ('r', 'p')
        AND NOT relation.relispartition;
    IF detached IS NOT NULL THEN
        RAISE EXCEPTION 'schema event_store_partitions holds detached tables: %', detached
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'attach them again, or drop them by hand once their events are known to be kept elsewhere';
    END IF;
END
$migration$;

DROP FUNCTION public.event_store_partitioned_holds_only_copy();
DROP TABLE public.event_store_partitioned;
DROP SCHEMA event_store_partitions;
