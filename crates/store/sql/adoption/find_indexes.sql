-- Whether the legacy table has the indexes that adoption leans on: valid, whole, and of key columns alone.
WITH usable AS (
    SELECT
        index.indisunique,
        method.amname,
        ARRAY(
            SELECT attribute.attname::text
            FROM UNNEST(index.indkey::smallint[]) WITH ORDINALITY AS part (attnum, place)
            JOIN pg_catalog.pg_attribute AS attribute
                ON attribute.attrelid = index.indrelid AND attribute.attnum = part.attnum
            WHERE part.place <= index.indnkeyatts
            ORDER BY part.place
        ) AS columns,
        index.indnkeyatts
    FROM pg_catalog.pg_index AS index
    JOIN pg_catalog.pg_class AS relation ON relation.oid = index.indexrelid
    JOIN pg_catalog.pg_am AS method ON method.oid = relation.relam
    WHERE index.indrelid = to_regclass('public.event_store')
        AND index.indisvalid
        AND index.indpred IS NULL
)
SELECT
    EXISTS (SELECT FROM usable WHERE indisunique AND columns = ARRAY['event_id'] AND indnkeyatts = 1) AS "ids_are_unique!",
    EXISTS (
        SELECT FROM usable
        WHERE indisunique
            AND CARDINALITY(columns) = indnkeyatts
            AND ARRAY(SELECT UNNEST(columns) AS name ORDER BY name) IN (
                ARRAY['aggregate_id', 'aggregate_type', 'aggregate_version', 'tenant_id'],
                ARRAY['aggregate_id', 'aggregate_type', 'aggregate_version']
            )
    ) AS "versions_are_unique!",
    EXISTS (SELECT FROM usable WHERE amname = 'btree' AND columns[1] = 'tenant_id') AS "is_led_by_tenant!"
LIMIT 1
