use std::collections::HashMap;

use super::{Caller, CertificateIdentity};
use crate::connection::Peer;

/// What certificates stand for.
pub(super) struct Directory(HashMap<String, Caller>);

impl Directory {
    pub(super) fn new(identities: &[CertificateIdentity]) -> Self {
        let entry = |identity: &CertificateIdentity| {
            let caller = Caller::new(identity.name.clone(), identity.tenants.clone(), &identity.roles);
            (identity.name.clone(), caller)
        };
        Self(identities.iter().map(entry).collect())
    }

    /// The caller behind a connection. Whether its certificate is genuine was settled when the connection was made.
    pub(super) fn find(&self, peer: Option<&Peer>) -> Result<Caller, &'static str> {
        let names = peer.map(Peer::names).filter(|names| !names.is_empty());
        let names = names.ok_or("the call needs a client certificate")?;
        let known = names.iter().find_map(|name| self.0.get(name));
        known.cloned().ok_or("the client certificate stands for nobody that is configured")
    }
}
