-- The legacy table's triggers that fire, by their names; those of foreign keys are constraints, and left out.
-- tgtype: 1 row, 2 before, 4 insert, 8 delete, 16 update, 32 truncate (pg_trigger.h)
SELECT
    trigger.tgname::text AS "name!",
    quote_ident(trigger.tgname) AS "quoted!",
    (trigger.tgtype & 1) <> 0 AS "is_row!",
    (trigger.tgtype & 2) <> 0 AS "is_before!",
    (trigger.tgtype & 4) <> 0 AS "on_insert!",
    (trigger.tgtype & 8) <> 0 AS "on_delete!",
    (trigger.tgtype & 32) <> 0 AS "on_truncate!",
    trigger.tgfoid::regprocedure::text AS "function!"
FROM pg_catalog.pg_trigger AS trigger
WHERE trigger.tgrelid = to_regclass('public.event_store')
    AND NOT trigger.tgisinternal
    AND trigger.tgenabled <> 'D'
ORDER BY trigger.tgname
LIMIT 1000
