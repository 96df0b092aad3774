//! TLS for the gRPC port, with certificates that may be replaced while it runs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig as RustlsConfig};
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;

use crate::limits::CERTIFICATE_LOOK_INTERVAL;

/// The protocol that gRPC speaks inside of TLS.
const ALPN: &[u8] = b"h2";

/// Where the certificates are, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// The server's certificate, and those between it and its authority.
    pub certificate_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
    /// The authorities of client certificates; none: clients are not asked for any.
    pub client_ca_file: Option<PathBuf>,
}

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as PEM.
    #[error("{path} cannot be read: name a PEM file with {wanted}")]
    File {
        /// Which.
        path: String,
        /// What should be in it.
        wanted: &'static str,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// Certificate and key do not fit together, or an authority is none.
    #[error("the certificates cannot be used: {0}")]
    Unusable(String),
}

/// The certificates in force.
pub(crate) struct Tls {
    config: TlsConfig,
    current: RwLock<Arc<RustlsConfig>>,
}

impl Tls {
    /// Reads the certificates a first time.
    pub(crate) fn open(config: TlsConfig) -> Result<Self, TlsError> {
        let current = RwLock::new(Arc::new(load(&config)?));
        Ok(Self { config, current })
    }

    /// What the next connection is made with.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Looks now and then whether the files have changed, and takes over what can be used; never ends. Connections that
    /// are open keep what they were made with.
    pub(crate) async fn follow(&self) {
        let mut ticks = tokio::time::interval(CERTIFICATE_LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = self.contents().await;
        loop {
            ticks.tick().await;
            let now = self.contents().await;
            if now == seen {
                continue;
            }
            match load(&self.config) {
                Ok(loaded) => {
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
                    tracing::info!("certificates loaded anew");
                }
                // Between the writing of the certificate and that of its key this is to be expected.
                Err(error) => {
                    tracing::warn!(%error, "changed certificates not taken over, the old ones go on");
                }
            }
            seen = now;
        }
    }

    /// What is in the files. Names and times lie: Kubernetes swaps a link, tools copy times.
    async fn contents(&self) -> [Option<Vec<u8>>; 3] {
        let read = async |path: &Path| tokio::fs::read(path).await.ok();
        let authorities = match &self.config.client_ca_file {
            Some(path) => read(path).await,
            None => None,
        };
        [read(&self.config.certificate_file).await, read(&self.config.key_file).await, authorities]
    }
}

fn load(config: &TlsConfig) -> Result<RustlsConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let unusable = |error: &dyn std::error::Error| TlsError::Unusable(error.to_string());
    let builder = RustlsConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| unusable(&error))?;
    let builder = match &config.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                roots.add(authority).map_err(|error| unusable(&error))?;
            }
            // Who shows no certificate may still ask for health; the layer of credentials refuses all else.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| unusable(&error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = certificates(&config.certificate_file)?;
    let key = PrivateKeyDer::from_pem_file(&config.key_file)
        .map_err(|source| file_error(&config.key_file, "a private key", source))?;
    let mut loaded = builder.with_single_cert(chain, key).map_err(|error| unusable(&error))?;
    loaded.alpn_protocols = vec![ALPN.to_vec()];
    Ok(loaded)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| file_error(path, "certificates", source);
    let all = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(failed)?;
    if all.is_empty() {
        let none = io::Error::new(io::ErrorKind::InvalidData, "no certificate in it");
        return Err(failed(pem::Error::Io(none)));
    }
    Ok(all)
}

fn file_error(path: &Path, wanted: &'static str, source: pem::Error) -> TlsError {
    TlsError::File { path: path.display().to_string(), wanted, source }
}
