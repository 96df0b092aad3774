//! What a caller may do, and how much of it: every call on a tenant passes here, before anything is looked at.

mod tenants;

use std::time::{Duration, SystemTime};

use partita_model::limits::ID_CHARS_MAX;
use tonic::codegen::http::Extensions;

pub(crate) use self::tenants::Pass;
use self::tenants::TenantLoads;
use crate::auth::Caller;
use crate::config::LimitConfig;
use crate::connection::Peer;

/// Why a call is not let through. Nothing was read or written for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Nobody has checked who calls: a defect, and no way in.
    Unknown,
    /// The credential has expired since the call began.
    Expired,
    /// The credential does not cover the tenant; the empty one stands for all.
    Tenant(String),
    /// The credential lacks the admin role.
    Role,
    /// The tenant has as many calls open as it may.
    Busy {
        /// When to come back.
        retry_after: Duration,
    },
    /// The tenant calls more often than it may.
    Rate {
        /// When to come back.
        retry_after: Duration,
    },
}

/// Lets calls through.
#[derive(Clone)]
pub(crate) struct Gate {
    loads: TenantLoads,
}

impl Gate {
    pub(crate) fn new(limits: &LimitConfig) -> Self {
        Self { loads: TenantLoads::new(limits) }
    }

    /// A call on a tenant. It counts as open until the pass is dropped.
    pub(crate) fn call(&self, extensions: &Extensions, tenant_id: &str) -> Result<Pass, Denied> {
        covered(extensions, tenant_id)?;
        self.loads.enter(tenant_id)
    }

    /// One append of many in a call that is let through by and by: what is in flight of it is bounded elsewhere.
    pub(crate) fn append(&self, extensions: &Extensions, tenant_id: &str) -> Result<(), Denied> {
        covered(extensions, tenant_id)?;
        self.loads.spend(tenant_id)
    }

    /// A call on the partitions of a tenant, or of all with the empty one.
    pub(crate) fn admin(&self, extensions: &Extensions, tenant_id: &str) -> Result<(), Denied> {
        if !caller(extensions)?.is_admin() {
            return Err(audited(extensions, Denied::Role));
        }
        covered(extensions, tenant_id)
    }
}

fn caller(extensions: &Extensions) -> Result<&Caller, Denied> {
    Caller::of(extensions).ok_or_else(|| audited(extensions, Denied::Unknown))
}

fn covered(extensions: &Extensions, tenant_id: &str) -> Result<(), Denied> {
    let caller = caller(extensions)?;
    if caller.has_expired(SystemTime::now()) {
        return Err(audited(extensions, Denied::Expired));
    }
    if caller.covers(tenant_id) {
        return Ok(());
    }
    // As sent, it may be as long as a message.
    let told = tenant_id.chars().take(ID_CHARS_MAX).collect();
    Err(audited(extensions, Denied::Tenant(told)))
}

/// Writes down who wanted what; the span around says by which call.
fn audited(extensions: &Extensions, denied: Denied) -> Denied {
    let subject = Caller::of(extensions).map(Caller::subject).unwrap_or_default();
    let address = Peer::address_of(extensions);
    match &denied {
        Denied::Tenant(tenant) => {
            tracing::warn!(target: "partita::audit", subject, client.address = address, denied.tenant = tenant, "call on a foreign tenant denied");
        }
        Denied::Expired => {
            tracing::warn!(target: "partita::audit", subject, client.address = address, "call with an expired credential denied");
        }
        Denied::Role => {
            tracing::warn!(target: "partita::audit", subject, client.address = address, "call without the admin role denied");
        }
        Denied::Unknown => {
            tracing::error!(target: "partita::audit", subject, client.address = address, "call of an unchecked caller denied");
        }
        Denied::Busy { .. } | Denied::Rate { .. } => {}
    }
    denied
}
