-- The legacy table's rewrite rules that are in force.
SELECT rule.rulename::text AS "name!", quote_ident(rule.rulename) AS "quoted!", rule.ev_type::text AS "event!"
FROM pg_catalog.pg_rewrite AS rule
WHERE rule.ev_class = to_regclass('public.event_store')
    AND rule.ev_enabled <> 'D'
    AND rule.rulename <> '_RETURN'
ORDER BY rule.rulename
LIMIT 1000
