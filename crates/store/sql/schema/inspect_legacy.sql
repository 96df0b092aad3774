-- What the store needs to know of a database before it serves: the control row, and the legacy table's unique indexes.
SELECT
    control.phase,
    EXISTS (
        SELECT
        FROM pg_catalog.pg_index AS index
        WHERE index.indrelid = 'public.event_store'::regclass
            AND index.indisunique
            AND index.indisvalid
            AND index.indpred IS NULL
            AND (
                SELECT ARRAY_AGG(attribute.attname::text ORDER BY attribute.attname)
                FROM pg_catalog.pg_attribute AS attribute
                WHERE attribute.attrelid = index.indrelid
                    -- Key columns only: columns that an index merely includes make nothing unique.
                    AND attribute.attnum = ANY ((index.indkey::smallint[])[0:index.indnkeyatts - 1])
            ) IN (
                ARRAY['aggregate_id', 'aggregate_type', 'aggregate_version', 'tenant_id'],
                ARRAY['aggregate_id', 'aggregate_type', 'aggregate_version']
            )
    ) AS "versions_are_unique!",
    EXISTS (
        SELECT
        FROM pg_catalog.pg_index AS index
        JOIN pg_catalog.pg_attribute AS attribute
            ON attribute.attrelid = index.indrelid
            AND attribute.attnum = index.indkey[0]
        WHERE index.indrelid = 'public.event_store'::regclass
            AND index.indisunique
            AND index.indisvalid
            AND index.indpred IS NULL
            AND index.indnkeyatts = 1
            AND attribute.attname = 'event_id'
    ) AS "ids_are_unique!"
FROM public.event_store_control AS control
ORDER BY control.singleton
LIMIT 1
