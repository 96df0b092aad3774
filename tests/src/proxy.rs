use std::ops::Deref;

use partita_store::DatabaseUrl;

use crate::TestDatabase;

/// Stands between a store and the database of a test.
pub struct Proxy {
    url: DatabaseUrl,
    proxy: partita_faults::Proxy,
}

impl Proxy {
    /// Stands before a database, and lets everything through.
    pub async fn start(database: &TestDatabase) -> Self {
        let proxy = partita_faults::Proxy::start(database.address()).await.unwrap();
        Self { url: database.url_through(proxy.address()), proxy }
    }

    /// Where the store finds the database behind it.
    pub fn url(&self) -> DatabaseUrl {
        self.url.clone()
    }
}

impl Deref for Proxy {
    type Target = partita_faults::Proxy;

    fn deref(&self) -> &Self::Target {
        &self.proxy
    }
}
