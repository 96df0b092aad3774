-- Why:   a cap on tenants that make themselves with their first write: a typing error in a caller's loop must not fill the
--        catalogues. event_store_register_tenant (0009) has no cap: what an operator asks for is done.
-- Lock:  none to create it. When called for a new tenant: advisory locks alone, given up after 2 s with 55P03.
-- Time:  milliseconds.
-- Phase: before dual.

-- Counts and registers in one transaction, under a lock that all processes share: the last place is given once. The
-- tenant's own lock comes first, as wherever both are taken.
CREATE FUNCTION public.event_store_admit_tenant(p_tenant_id text, p_tenants_max integer) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    lock_class CONSTANT integer := x'70727462'::integer; -- "prtb": next to that of a tenant's partitions
BEGIN
    PERFORM event_store_check_tenant_id(p_tenant_id);
    PERFORM event_store_lock_partitions(p_tenant_id);
    PERFORM FROM event_store_tenant AS tenant WHERE tenant.tenant_id = p_tenant_id;
    IF FOUND THEN
        RETURN true;
    END IF;

    PERFORM pg_advisory_xact_lock(lock_class, 0);
    -- A statement of its own, and so a snapshot of its own: it sees whom the lock was waited for.
    PERFORM FROM event_store_tenant AS tenant WHERE tenant.layout = 'own' HAVING count(*) >= p_tenants_max;
    IF FOUND THEN
        RETURN false;
    END IF;
    PERFORM event_store_register_tenant(p_tenant_id);
    RETURN true;
END
$$;

COMMENT ON FUNCTION public.event_store_admit_tenant(text, integer) IS
    'Registers a tenant unless p_tenants_max have partitions of their own already; true for one that is registered, then or before.';
