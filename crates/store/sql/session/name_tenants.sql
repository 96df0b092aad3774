-- Tells row security whose rows the next statements of this session are about, and how long each of them may take.
-- $1 tenant ids, none for nobody, $2 statement_timeout in milliseconds, as text
SELECT
    set_config('partita.tenants', ($1::text[])::text, false) IS NOT NULL
    AND set_config('statement_timeout', $2, false) IS NOT NULL AS "is_told!"
