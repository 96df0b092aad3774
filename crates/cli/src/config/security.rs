use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Config as Layers, File, FileFormat};
use partita_server::TlsConfig;
use partita_server::auth::{Algorithm, AuthConfig, AuthMode, CertificateIdentity, JwtConfig, KeyLocation};
use serde::Deserialize;

use super::reader::Reader;
use crate::failure::Failure;

/// Who may call, and what proves it, as it is configured; what belongs together is checked by [`Self::auth`] and
/// [`Self::tls`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SecurityConfig {
    mode: Mode,
    allow_insecure: bool,
    allow_wildcard: bool,
    protect_reflection: bool,
    algorithm: Algorithm,
    jwks_file: Option<PathBuf>,
    jwks_url: Option<String>,
    refresh: Duration,
    issuer: Option<String>,
    audience: Option<String>,
    tenants_claim: String,
    roles_claim: String,
    leeway: Duration,
    identities_file: Option<PathBuf>,
    certificate_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    client_ca_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    None,
    Jwt,
    Mtls,
}

/// The file of `auth.mtls.identities_file`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identities {
    identity: Vec<Identity>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    name: String,
    tenants: BTreeSet<String>,
    #[serde(default)]
    roles: BTreeSet<String>,
}

impl Default for SecurityConfig {
    fn default() -> Self {
        Self {
            mode: Mode::None,
            allow_insecure: false,
            allow_wildcard: false,
            protect_reflection: false,
            algorithm: Algorithm::Rs256,
            jwks_file: None,
            jwks_url: None,
            refresh: Duration::from_secs(60),
            issuer: None,
            audience: None,
            tenants_claim: "tenants".to_owned(),
            roles_claim: "roles".to_owned(),
            leeway: Duration::from_secs(30),
            identities_file: None,
            certificate_file: None,
            key_file: None,
            client_ca_file: None,
        }
    }
}

impl SecurityConfig {
    /// The part of the list of keys that is about security.
    pub(super) fn read(reader: &mut Reader, defaults: Self) -> Self {
        let is_some = |text: &str| !text.is_empty();
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let algorithms =
            [("RS256", Algorithm::Rs256), ("ES256", Algorithm::Es256), ("EdDSA", Algorithm::EdDsa)];
        let modes = [("none", Mode::None), ("jwt", Mode::Jwt), ("mtls", Mode::Mtls)];
        Self {
            mode: reader.choice("auth.mode", &modes, defaults.mode),
            allow_insecure: reader.switch("auth.allow_insecure", defaults.allow_insecure),
            allow_wildcard: reader.switch("auth.allow_wildcard", defaults.allow_wildcard),
            protect_reflection: reader.switch("auth.protect_reflection", defaults.protect_reflection),
            algorithm: reader.choice("auth.jwt.algorithm", &algorithms, defaults.algorithm),
            jwks_file: reader.path("auth.jwt.jwks_file", defaults.jwks_file),
            jwks_url: reader
                .take(
                    "auth.jwt.jwks_url",
                    "a URL that begins with https://, or with http:// on this machine",
                    jwks_url,
                )
                .or(defaults.jwks_url),
            refresh: reader.seconds("auth.jwt.refresh_seconds", 5..=86_400, defaults.refresh),
            issuer: reader.take("auth.jwt.issuer", "a text", some).or(defaults.issuer),
            audience: reader.take("auth.jwt.audience", "a text", some).or(defaults.audience),
            tenants_claim: reader.text("auth.jwt.tenants_claim", "a text", is_some, defaults.tenants_claim),
            roles_claim: reader.text("auth.jwt.roles_claim", "a text", is_some, defaults.roles_claim),
            leeway: reader.seconds("auth.jwt.leeway_seconds", 0..=300, defaults.leeway),
            identities_file: reader.path("auth.mtls.identities_file", defaults.identities_file),
            certificate_file: reader.path("tls.certificate_file", defaults.certificate_file),
            key_file: reader.path("tls.key_file", defaults.key_file),
            client_ca_file: reader.path("tls.client_ca_file", defaults.client_ca_file),
        }
    }

    /// Who may call on this address.
    ///
    /// # Errors
    /// What is missing, and what would let everybody in by accident.
    pub(super) fn auth(&self, listen: SocketAddr) -> Result<AuthConfig, Failure> {
        let mode = match self.mode {
            Mode::None if listen.ip().is_loopback() || self.allow_insecure => AuthMode::None,
            Mode::None => {
                let message = format!("auth.mode is `none`, and {listen} can be reached from other machines");
                let next = "set auth.mode to jwt or mtls, or say auth.allow_insecure=true as well";
                return Err(Failure::usage(message).next(next));
            }
            Mode::Jwt => AuthMode::Jwt(self.jwt()?),
            Mode::Mtls if self.client_ca_file.is_none() => return Err(missing("tls.client_ca_file", "mtls")),
            Mode::Mtls => AuthMode::Mtls(self.identities()?),
        };
        Ok(AuthConfig {
            mode,
            allow_wildcard: self.allow_wildcard,
            protect_reflection: self.protect_reflection,
        })
    }

    /// The certificates, where there are some.
    ///
    /// # Errors
    /// When one of them is there without the other.
    pub(super) fn tls(&self) -> Result<Option<TlsConfig>, Failure> {
        let client_ca_file = self.client_ca_file.clone();
        match (&self.certificate_file, &self.key_file) {
            (Some(certificate_file), Some(key_file)) => Ok(Some(TlsConfig {
                certificate_file: certificate_file.clone(),
                key_file: key_file.clone(),
                client_ca_file,
            })),
            (None, None) if client_ca_file.is_none() => Ok(None),
            (None, _) => Err(Failure::usage("TLS needs tls.certificate_file")),
            (Some(_), None) => Err(Failure::usage("TLS needs tls.key_file")),
        }
    }

    fn jwt(&self) -> Result<JwtConfig, Failure> {
        let keys = match (&self.jwks_file, &self.jwks_url) {
            (Some(path), None) => KeyLocation::File(path.clone()),
            (None, Some(url)) => KeyLocation::Url(url.clone()),
            (Some(_), Some(_)) | (None, None) => {
                let message = "auth.mode `jwt` needs either auth.jwt.jwks_file or auth.jwt.jwks_url";
                return Err(Failure::usage(message));
            }
        };
        Ok(JwtConfig {
            algorithm: self.algorithm,
            keys,
            refresh_interval: self.refresh,
            issuer: self.issuer.clone().ok_or_else(|| missing("auth.jwt.issuer", "jwt"))?,
            audience: self.audience.clone().ok_or_else(|| missing("auth.jwt.audience", "jwt"))?,
            tenants_claim: self.tenants_claim.clone(),
            roles_claim: self.roles_claim.clone(),
            leeway: self.leeway,
        })
    }

    fn identities(&self) -> Result<Vec<CertificateIdentity>, Failure> {
        let path = self.identities_file.as_deref();
        let path = path.ok_or_else(|| missing("auth.mtls.identities_file", "mtls"))?;
        read_identities(path).map_err(|error| {
            let message = format!("cannot read the identities in {}", path.display());
            Failure::usage(message).because(error.to_string().trim_end())
        })
    }
}

fn missing(key: &str, mode: &str) -> Failure {
    Failure::usage(format!("auth.mode `{mode}` needs {key}"))
}

fn read_identities(path: &Path) -> Result<Vec<CertificateIdentity>, config::ConfigError> {
    let file = File::from(path).format(FileFormat::Toml);
    let identities: Identities = Layers::builder().add_source(file).build()?.try_deserialize()?;
    let identity = |Identity { name, tenants, roles }| CertificateIdentity { name, tenants, roles };
    Ok(identities.identity.into_iter().map(identity).collect())
}

/// Keys that come unprotected over a network are nobody's.
fn jwks_url(text: &str) -> Option<String> {
    let local =
        ["http://127.0.0.1:", "http://127.0.0.1/", "http://localhost:", "http://localhost/", "http://[::1]:"];
    let fine = text.starts_with("https://") || local.iter().any(|prefix| text.starts_with(prefix));
    fine.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everywhere() -> SocketAddr {
        SocketAddr::from(([0, 0, 0, 0], 50_051))
    }

    #[test]
    fn nobody_is_let_in_without_a_credential_from_elsewhere_unless_it_is_said_twice() {
        let config = SecurityConfig::default();
        assert!(config.auth(SocketAddr::from(([127, 0, 0, 1], 1))).is_ok());
        let refused = config.auth(everywhere()).unwrap_err().text();
        assert!(refused.contains("auth.allow_insecure=true"), "{refused}");
        assert!(SecurityConfig { allow_insecure: true, ..config }.auth(everywhere()).is_ok());
    }

    #[test]
    fn what_a_mode_needs_is_named() {
        let jwt = SecurityConfig { mode: Mode::Jwt, ..SecurityConfig::default() };
        assert!(jwt.auth(everywhere()).unwrap_err().text().contains("jwks_file or"));
        let jwt = SecurityConfig { jwks_file: Some("keys.json".into()), ..jwt };
        assert!(jwt.auth(everywhere()).unwrap_err().text().contains("auth.jwt.issuer"));
        let mtls = SecurityConfig { mode: Mode::Mtls, ..SecurityConfig::default() };
        assert!(mtls.auth(everywhere()).unwrap_err().text().contains("tls.client_ca_file"));
        assert!(mtls.tls().unwrap().is_none());
        let half = SecurityConfig { certificate_file: Some("cert.pem".into()), ..mtls };
        assert!(half.tls().unwrap_err().text().contains("tls.key_file"));
    }

    #[test]
    fn identities_are_read_from_a_file_and_a_misspelt_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identities.toml");
        let entry = "[[identity]]\nname = 'spiffe://acme/orders'\ntenants = ['acme']\n";
        std::fs::write(&path, format!("{entry}{entry}roles = ['admin']")).unwrap();
        let identities = read_identities(&path).unwrap();
        assert_eq!((identities.len(), identities[0].roles.len(), identities[1].roles.len()), (2, 0, 1));
        assert!(identities[0].tenants.contains("acme"));
        std::fs::write(&path, format!("{entry}role = ['admin']")).unwrap();
        assert!(read_identities(&path).is_err());
    }

    #[test]
    fn keys_come_by_https_or_from_this_machine() {
        for good in ["https://id.example/keys", "http://127.0.0.1:8080/keys", "http://localhost/keys"] {
            assert!(jwks_url(good).is_some(), "{good}");
        }
        for bad in
            ["http://id.example/keys", "http://127.0.0.1.example/", "http://localhost.example/", "ftp://x"]
        {
            assert!(jwks_url(bad).is_none(), "{bad}");
        }
    }
}
