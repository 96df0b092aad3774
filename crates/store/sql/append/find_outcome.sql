-- What became of a transaction whose COMMIT was not answered.
-- $1 the transaction's id, $2 tenant id and $3 event id of one event that it wrote
-- The id alone is no proof: after a crash, or on a promoted standby, another transaction may bear it.
SELECT
    pg_xact_status($1::text::xid8) AS status,
    EXISTS (
        SELECT
        FROM public.event_store
        WHERE tenant_id = $2
            AND event_id = $3
    ) AS "recorded!"
