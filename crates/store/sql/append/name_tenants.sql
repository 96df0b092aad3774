-- Tells row security whose rows the next statements of this session are about.
-- $1 tenant ids
SELECT set_config('partita.tenants', ($1::text[])::text, false) IS NOT NULL AS "is_told!"
