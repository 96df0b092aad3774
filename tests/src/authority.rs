use std::path::Path;

use partita_server::TlsConfig;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};
use tempfile::TempDir;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::TestServer;
use crate::server::CALL_LIMIT;

/// Somebody who issues certificates.
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate and its key, as PEM.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Authority {
    /// With a key of its own.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Test Authority");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { certificate, issuer: Issuer::new(params, key), folder: TempDir::new().unwrap() }
    }

    /// A certificate for a server on this machine.
    pub fn server(&self) -> Issued {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(&params)
    }

    /// A certificate for a client with this URI among its names, if there is one, and this common name.
    pub fn client(&self, uri: Option<&str>, common_name: &str) -> Issued {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names.extend(uri.map(|uri| SanType::URI(uri.try_into().unwrap())));
        self.issue(&params)
    }

    /// Writes a server's certificate and its own into files, over those that are there.
    pub fn write(&self, server: &Issued, clients: &Authority) -> TlsConfig {
        let write = |name: &str, text: &str| {
            let path = self.folder.path().join(name);
            replace(&path, text);
            path
        };
        TlsConfig {
            certificate_file: write("server.crt", &server.certificate),
            key_file: write("server.key", &server.key),
            client_ca_file: Some(write("clients.crt", &clients.certificate)),
        }
    }

    /// A new connection to a server whose certificate this authority has issued.
    pub fn connection(&self, server: &TestServer, identity: Option<&Issued>) -> Channel {
        let authority = Certificate::from_pem(&self.certificate);
        let mut tls = ClientTlsConfig::new().ca_certificate(authority).domain_name("localhost");
        if let Some(identity) = identity {
            tls = tls.identity(Identity::from_pem(&identity.certificate, &identity.key));
        }
        let endpoint = Endpoint::from_shared(format!("https://{}", server.address())).unwrap();
        endpoint.timeout(CALL_LIMIT).tls_config(tls).unwrap().connect_lazy()
    }

    fn issue(&self, params: &CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Issued { certificate, key: key.serialize_pem() }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}
