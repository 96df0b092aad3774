use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::key::{Algorithm, JwkSet, Key};
use crate::limits::{KEY_FETCH_TIMEOUT, KEY_SET_BYTES_MAX};

/// Where a JWK set is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyLocation {
    /// In a file.
    File(PathBuf),
    /// Behind a URL.
    Url(String),
}

/// Why keys could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("the keys in {path} cannot be read: name a readable JWK set")]
    File {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The URL does not answer as it should.
    #[error("the keys cannot be fetched from {url}: {reason}")]
    Fetch {
        /// Which.
        url: String,
        /// Why.
        reason: String,
    },
    /// What was read is no JWK set.
    #[error("what is in place of the keys is no JWK set: {0}")]
    Malformed(#[source] serde_json::Error),
    /// No key fits.
    #[error("the JWK set has no key for {}", .0.name())]
    NoKey(Algorithm),
}

/// Keys, kept and looked up anew now and then: at most once an interval, whoever asks for whatever key.
pub(super) struct KeySource {
    location: KeyLocation,
    algorithm: Algorithm,
    interval: Duration,
    client: reqwest::Client,
    keys: RwLock<Arc<Vec<Key>>>,
    /// When keys were last looked for. Locked while somebody does.
    looked: Mutex<Option<Instant>>,
}

impl KeySource {
    /// Looks for the keys a first time. Keys behind a URL may come later: an identity provider that is away must not keep
    /// a service down.
    pub(super) async fn open(
        location: KeyLocation,
        algorithm: Algorithm,
        interval: Duration,
    ) -> Result<Arc<Self>, KeyError> {
        let source = Self {
            location,
            algorithm,
            interval,
            client: client()?,
            keys: RwLock::default(),
            looked: Mutex::new(None),
        };
        match (source.refresh().await, &source.location) {
            (Err(error), KeyLocation::File(_)) => return Err(error),
            (Err(error), KeyLocation::Url(_)) => {
                tracing::warn!(%error, "no keys yet, every token is refused");
            }
            (Ok(()), _) => {}
        }
        Ok(Arc::new(source))
    }

    /// The keys with this name; without a name the only key. Keys that are old are looked up anew beside the call; for one
    /// that is not known the call waits for that, if it is time for it.
    pub(super) async fn find(self: &Arc<Self>, kid: Option<&str>) -> Option<Key> {
        let known = self.known(kid);
        if known.is_none() {
            self.refresh_if_due().await;
            return self.known(kid);
        }
        if let Ok(looked) = self.looked.try_lock()
            && self.is_due(*looked)
        {
            let source = Arc::clone(self);
            tokio::spawn(async move { source.refresh_if_due().await });
        }
        known
    }

    fn known(&self, kid: Option<&str>) -> Option<Key> {
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        match kid {
            Some(kid) => keys.iter().find(|key| key.kid == kid).cloned(),
            None if keys.len() == 1 => keys.first().cloned(),
            None => None,
        }
    }

    fn is_due(&self, looked: Option<Instant>) -> bool {
        looked.is_none_or(|at| at.elapsed() >= self.interval)
    }

    async fn refresh_if_due(&self) {
        let mut looked = self.looked.lock().await;
        if !self.is_due(*looked) {
            return;
        }
        *looked = Some(Instant::now());
        if let Err(error) = self.load().await {
            tracing::warn!(%error, "keys could not be looked up, those that are known go on");
        }
    }

    async fn refresh(&self) -> Result<(), KeyError> {
        *self.looked.lock().await = Some(Instant::now());
        self.load().await
    }

    async fn load(&self) -> Result<(), KeyError> {
        let text = match &self.location {
            KeyLocation::File(path) => tokio::fs::read(path)
                .await
                .map_err(|source| KeyError::File { path: path.display().to_string(), source })?,
            KeyLocation::Url(url) => {
                self.fetch(url).await.map_err(|reason| KeyError::Fetch { url: url.clone(), reason })?
            }
        };
        let set: JwkSet = serde_json::from_slice(&text).map_err(KeyError::Malformed)?;
        let keys = set.keys(self.algorithm);
        if keys.is_empty() {
            return Err(KeyError::NoKey(self.algorithm));
        }
        let mut current = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if **current != keys {
            tracing::info!(keys = keys.len(), "keys of tokens loaded");
            *current = Arc::new(keys);
        }
        Ok(())
    }

    async fn fetch(&self, url: &str) -> Result<Vec<u8>, String> {
        let told = |error: reqwest::Error| error.without_url().to_string();
        let mut answer = self.client.get(url).send().await.map_err(told)?.error_for_status().map_err(told)?;
        let mut text = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(told)? {
            text.extend_from_slice(&part);
            if text.len() > KEY_SET_BYTES_MAX {
                return Err(format!("the answer is longer than {KEY_SET_BYTES_MAX} bytes"));
            }
        }
        Ok(text)
    }
}

/// A client that follows nobody: keys come from where the configuration says.
fn client() -> Result<reqwest::Client, KeyError> {
    // Refused where the process has chosen its cryptography already, which is as well.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(KEY_FETCH_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(|error| KeyError::Fetch { url: String::new(), reason: error.to_string() })
}
