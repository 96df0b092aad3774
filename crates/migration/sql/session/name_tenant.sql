-- Tells row security whose rows the next statements of this session are about.
-- $1 tenant id
SELECT set_config('partita.tenants', ARRAY[$1::text]::text, false) IS NOT NULL AS "is_told!"
