-- One batch of a purge of the legacy table: looks at the next expired rows of a tenant and deletes those that may go.
-- $1 tenant id, $2 timestamp and $3 id of the last row of the batch before, or NULL for the first, $4 most rows
-- $5 whether restorable months are purged, $6 whether last events are, $7 whether anything is
-- $8 row of the record that the batch before wrote, or NULL, $9 who, $10 why
SELECT
    batch.looked_at AS "looked_at!",
    batch.purged AS "purged!",
    batch.last_timestamp,
    batch.last_id,
    batch.change
FROM public.event_store_purge_legacy(
    $1, COALESCE($2::timestamptz, '-infinity'), COALESCE($3::uuid, '00000000-0000-0000-0000-000000000000'), $4, $5, $6,
    $7, $8, $9, $10
) AS batch
ORDER BY batch.last_timestamp
LIMIT 1
