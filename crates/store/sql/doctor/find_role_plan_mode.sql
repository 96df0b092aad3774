-- What plan_cache_mode sessions of this role begin with unless they say otherwise themselves, as every one of ours does.
-- The closest setting wins: of the role in this database, of the role, of the database.
SELECT SUBSTRING(setting.entry FROM '^plan_cache_mode=(.*)$') AS "mode!"
FROM pg_catalog.pg_db_role_setting AS scope
CROSS JOIN LATERAL UNNEST(scope.setconfig) AS setting (entry)
WHERE scope.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
    AND scope.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user))
    AND setting.entry LIKE 'plan\_cache\_mode=%'
ORDER BY scope.setrole <> 0 DESC, scope.setdatabase <> 0 DESC
LIMIT 1
