use std::collections::BTreeSet;
use std::time::SystemTime;

use tonic::codegen::http::Extensions;

use super::{ADMIN_ROLE, WILDCARD};

/// Who calls, as far as the credential says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    subject: String,
    tenants: Tenants,
    admin: bool,
    /// When the credential ends; none: it has no end of its own.
    expires: Option<SystemTime>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tenants {
    All,
    Only(BTreeSet<String>),
}

impl Caller {
    /// A caller with these tenants, the wildcard among them or not, and these roles.
    pub(super) fn new(subject: String, tenants: BTreeSet<String>, roles: &BTreeSet<String>) -> Self {
        Self { subject, tenants: Tenants::Only(tenants), admin: roles.contains(ADMIN_ROLE), expires: None }
    }

    /// The caller for as long as the credential holds.
    pub(super) fn until(self, expires: SystemTime) -> Self {
        Self { expires: Some(expires), ..self }
    }

    /// Whoever calls where nobody asks who it is.
    pub(crate) fn everybody() -> Self {
        Self { subject: String::new(), tenants: Tenants::All, admin: true, expires: None }
    }

    /// The caller with the wildcard's meaning: all tenants where it is allowed, and none where it is not.
    pub(super) fn within(mut self, allow_wildcard: bool) -> Self {
        if let Tenants::Only(tenants) = &mut self.tenants
            && tenants.remove(WILDCARD)
            && allow_wildcard
        {
            self.tenants = Tenants::All;
        }
        self
    }

    /// The caller of a call, which the layer of credentials has noted.
    pub(crate) fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// Whether the credential has come to its end: a call may outlive it.
    pub(crate) fn has_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// What the credential calls itself.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether the credential covers a tenant; the empty one stands for all.
    pub(crate) fn covers(&self, tenant_id: &str) -> bool {
        match &self.tenants {
            Tenants::All => true,
            Tenants::Only(tenants) => !tenant_id.is_empty() && tenants.contains(tenant_id),
        }
    }

    /// Whether it has the admin role.
    pub(crate) fn is_admin(&self) -> bool {
        self.admin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(tenants: &[&str], roles: &[&str]) -> Caller {
        let set = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Caller::new("svc".to_owned(), set(tenants), &set(roles))
    }

    #[test]
    fn a_credential_covers_its_tenants_and_nothing_else() {
        let caller = caller(&["acme", "globex"], &["reader"]).within(true);
        assert!(caller.covers("acme") && caller.covers("globex"));
        for other in ["", "*", "Acme", "acme ", "initech"] {
            assert!(!caller.covers(other), "{other}");
        }
        assert!(!caller.is_admin());
    }

    #[test]
    fn the_wildcard_covers_all_tenants_only_where_it_is_allowed() {
        let allowed = caller(&["*"], &["admin"]).within(true);
        assert!(allowed.covers("acme") && allowed.covers("") && allowed.is_admin());
        let refused = caller(&["*", "acme"], &[]).within(false);
        assert!(refused.covers("acme"));
        assert!(!refused.covers("globex") && !refused.covers("") && !refused.covers("*"));
    }
}
