use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use partita_model::limits::ID_CHARS_MAX;
use partita_store::metrics::SHED;
use tokio::time::Instant;

use super::Denied;
use crate::config::LimitConfig;
use crate::limits::{SHED_RETRY_AFTER, TENANT_LOADS_KEPT};

/// How much each tenant does now, in this process.
#[derive(Clone)]
pub(super) struct TenantLoads(Arc<Loads>);

struct Loads {
    calls_max: u32,
    rate: f64,
    tenants: Mutex<HashMap<String, Load>>,
}

/// A tenant's open calls, and the calls that it has saved up: as many as its rate allows in a second, at most.
struct Load {
    open: u32,
    saved: f64,
    at: Instant,
}

/// An open call of a tenant; dropped, it is closed.
#[derive(Default)]
pub(crate) struct Pass(Option<(TenantLoads, String)>);

impl TenantLoads {
    pub(super) fn new(limits: &LimitConfig) -> Self {
        let (calls_max, rate) = (limits.tenant_calls_max, f64::from(limits.tenant_calls_per_second));
        Self(Arc::new(Loads { calls_max, rate, tenants: Mutex::default() }))
    }

    /// Opens a call.
    pub(super) fn enter(&self, tenant_id: &str) -> Result<Pass, Denied> {
        if is_no_tenant(tenant_id) || (self.0.calls_max == 0 && self.0.rate == 0.0) {
            return Ok(Pass::default());
        }
        let mut tenants = self.lock();
        let load = self.0.load(&mut tenants, tenant_id);
        if self.0.calls_max > 0 && load.open >= self.0.calls_max {
            SHED.add(1, ["tenant"]);
            return Err(Denied::Busy { retry_after: SHED_RETRY_AFTER });
        }
        self.0.spend(load)?;
        load.open += 1;
        Ok(Pass(Some((self.clone(), tenant_id.to_owned()))))
    }

    /// Counts a call that is not kept open.
    pub(super) fn spend(&self, tenant_id: &str) -> Result<(), Denied> {
        if is_no_tenant(tenant_id) || self.0.rate == 0.0 {
            return Ok(());
        }
        let mut tenants = self.lock();
        let load = self.0.load(&mut tenants, tenant_id);
        self.0.spend(load)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Load>> {
        // Nothing panics in here half way.
        self.0.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loads {
    fn load<'a>(&self, tenants: &'a mut HashMap<String, Load>, tenant_id: &str) -> &'a mut Load {
        if tenants.len() >= TENANT_LOADS_KEPT {
            let idle = |load: &Load| load.open == 0 && load.at.elapsed() >= Duration::from_secs(1);
            tenants.retain(|_, load| !idle(load));
        }
        let now = Instant::now();
        let load = tenants.entry(tenant_id.to_owned()).or_insert(Load { open: 0, saved: self.rate, at: now });
        load.saved = (load.saved + now.duration_since(load.at).as_secs_f64() * self.rate).min(self.rate);
        load.at = now;
        load
    }

    fn spend(&self, load: &mut Load) -> Result<(), Denied> {
        if self.rate == 0.0 {
            return Ok(());
        }
        if load.saved < 1.0 {
            SHED.add(1, ["rate"]);
            let retry_after = Duration::from_secs_f64((1.0 - load.saved) / self.rate);
            return Err(Denied::Rate { retry_after });
        }
        load.saved -= 1.0;
        Ok(())
    }
}

/// Whether it is longer than any tenant's id: its call will be refused for that, and must not be remembered.
fn is_no_tenant(tenant_id: &str) -> bool {
    tenant_id.len() > ID_CHARS_MAX * 4
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some((loads, tenant_id)) = self.0.take() {
            let mut tenants = loads.lock();
            if let Some(load) = tenants.get_mut(&tenant_id) {
                load.open -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loads(tenant_calls_max: u32, tenant_calls_per_second: u32) -> TenantLoads {
        TenantLoads::new(&LimitConfig { tenant_calls_max, tenant_calls_per_second, ..LimitConfig::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_with_all_its_calls_open_waits_and_others_do_not() {
        let loads = loads(2, 0);
        let open: Vec<Pass> = (0..2).map(|_| loads.enter("acme").ok().unwrap()).collect();
        assert!(matches!(loads.enter("acme"), Err(Denied::Busy { .. })));
        assert!(loads.enter("globex").is_ok());
        drop(open);
        assert!(loads.enter("acme").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_gets_its_rate_and_is_told_when_the_next_call_fits() {
        let loads = loads(0, 4);
        for _ in 0..4 {
            loads.spend("acme").unwrap();
        }
        let denied = loads.spend("acme").unwrap_err();
        assert_eq!(denied, Denied::Rate { retry_after: Duration::from_millis(250) });
        assert!(loads.spend("globex").is_ok());
        tokio::time::advance(Duration::from_millis(250)).await;
        loads.spend("acme").unwrap();
        assert!(loads.spend("acme").is_err());
        // What is saved up is no more than a second's.
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!((0..10).filter(|_| loads.spend("acme").is_ok()).count(), 4);
    }
}
