-- What else may refuse a row of ours (CHECK, FOREIGN KEY, EXCLUDE), or hangs on legacy (a foreign key of another table).
SELECT
    bound.conname::text AS "name!",
    bound.contype::text AS "kind!",
    bound.confrelid = to_regclass('public.event_store') AND bound.conrelid <> bound.confrelid AS "is_of_another!",
    bound.conrelid::regclass::text AS "relation!",
    pg_get_constraintdef(bound.oid) AS "definition!"
FROM pg_catalog.pg_constraint AS bound
WHERE (
        bound.conrelid = to_regclass('public.event_store') AND bound.contype IN ('c', 'f', 'x')
    )
    OR (bound.contype = 'f' AND bound.confrelid = to_regclass('public.event_store'))
ORDER BY bound.conrelid, bound.conname
LIMIT 1000
