-- Whether a unique index of the legacy table is over event ids alone.
-- $1 its name
SELECT EXISTS (
    SELECT
    FROM pg_catalog.pg_index AS index
    JOIN pg_catalog.pg_class AS relation ON relation.oid = index.indexrelid
    JOIN pg_catalog.pg_attribute AS attribute
        ON attribute.attrelid = index.indrelid
        AND attribute.attnum = index.indkey[0]
    WHERE index.indrelid = 'public.event_store'::regclass
        AND index.indnkeyatts = 1
        AND relation.relname = $1
        AND attribute.attname = 'event_id'
) AS "is_of_ids!"
