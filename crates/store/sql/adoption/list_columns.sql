-- The legacy table's columns, in its order. A domain is told by the type that it is made of.
SELECT
    attribute.attname::text AS "name!",
    format_type(attribute.atttypid, attribute.atttypmod) AS "type_text!",
    COALESCE(base.typname, own.typname)::text AS "type_name!",
    CASE WHEN COALESCE(base.typname, own.typname) = 'varchar' AND attribute.atttypmod > 4
        THEN attribute.atttypmod - 4 END AS length_max,
    attribute.attnotnull AS "is_not_null!",
    attribute.atthasdef OR attribute.attidentity <> '' AS "has_default!",
    attribute.attgenerated <> '' OR attribute.attidentity = 'a' AS "is_generated!"
FROM pg_catalog.pg_attribute AS attribute
JOIN pg_catalog.pg_type AS own ON own.oid = attribute.atttypid
LEFT JOIN pg_catalog.pg_type AS base ON base.oid = own.typbasetype AND own.typtype = 'd'
WHERE attribute.attrelid = to_regclass('public.event_store')
    AND attribute.attnum > 0
    AND NOT attribute.attisdropped
ORDER BY attribute.attnum
LIMIT 2000
