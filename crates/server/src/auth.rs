//! Who calls, and what for: a credential is checked before a call is looked at; what it covers is checked by the
//! gate, call by call.

mod caller;
#[cfg(test)]
mod fuzz;
mod jwt;
mod key;
mod key_source;
mod layer;
mod mtls;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use tonic::codegen::http::{HeaderMap, header};

use self::jwt::JwtVerifier;
use self::mtls::Directory;
use crate::connection::Peer;

pub(crate) use self::caller::Caller;
pub use self::key::Algorithm;
pub use self::key_source::{KeyError, KeyLocation};
pub(crate) use self::layer::AuthLayer;

/// The role without which nobody gets into the partition admin service.
pub const ADMIN_ROLE: &str = "admin";
/// The tenant of a credential that covers all tenants, where the configuration allows it.
pub const WILDCARD: &str = "*";

/// How callers prove who they are.
#[derive(Debug, Clone, Default)]
pub struct AuthConfig {
    /// By what.
    pub mode: AuthMode,
    /// Whether a credential may cover all tenants, by the tenant `*`. Default: no.
    pub allow_wildcard: bool,
    /// Whether reflection needs a credential. Health never does. Default: no.
    pub protect_reflection: bool,
}

/// What a credential is.
#[derive(Debug, Clone, Default)]
pub enum AuthMode {
    /// Nothing: whoever reaches the port may do everything.
    #[default]
    None,
    /// A JSON Web Token, as `authorization: Bearer …`.
    Jwt(JwtConfig),
    /// A client certificate: these identities, and no other.
    Mtls(Vec<CertificateIdentity>),
}

/// What a token must be.
#[derive(Debug, Clone)]
pub struct JwtConfig {
    /// The one algorithm of signatures. The token has no say in it.
    pub algorithm: Algorithm,
    /// Where the keys are (a JWK set).
    pub keys: KeyLocation,
    /// The shortest time between two looks for keys, whoever asks for unknown ones.
    pub refresh_interval: Duration,
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must be, or hold.
    pub audience: String,
    /// The claim that holds the tenants: a string or a list of strings.
    pub tenants_claim: String,
    /// The claim that holds the roles: likewise.
    pub roles_claim: String,
    /// By how much clocks may differ.
    pub leeway: Duration,
}

/// What a certificate stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateIdentity {
    /// A URI of the certificate's alternative names (`spiffe://…`), or its subject (`CN=orders,O=Acme`).
    pub name: String,
    /// The tenants that it covers.
    pub tenants: BTreeSet<String>,
    /// Its roles.
    pub roles: BTreeSet<String>,
}

/// Checks credentials.
pub(crate) struct Authenticator {
    method: Method,
    allow_wildcard: bool,
    protect_reflection: bool,
}

enum Method {
    None,
    Jwt(Box<JwtVerifier>),
    Mtls(Directory),
}

impl Authenticator {
    /// Reads what is needed to check.
    ///
    /// # Errors
    /// When the file of keys cannot be read. Keys behind a URL may come later.
    pub(crate) async fn open(config: &AuthConfig) -> Result<Self, KeyError> {
        let method = match &config.mode {
            AuthMode::None => Method::None,
            AuthMode::Jwt(jwt) => Method::Jwt(Box::new(JwtVerifier::open(jwt.clone()).await?)),
            AuthMode::Mtls(identities) => Method::Mtls(Directory::new(identities)),
        };
        let (allow_wildcard, protect_reflection) = (config.allow_wildcard, config.protect_reflection);
        Ok(Self { method, allow_wildcard, protect_reflection })
    }

    /// Whether a call needs no credential: probes ask for health before anybody could give them one. A path that nobody
    /// knows needs one.
    fn is_open(&self, path: &str) -> bool {
        path.starts_with("/grpc.health.v1.")
            || (!self.protect_reflection && path.starts_with("/grpc.reflection."))
    }

    /// The caller of a call with these headers on this connection.
    ///
    /// # Errors
    /// Why the credential is none, for the caller's eyes as well.
    async fn authenticate(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Caller, &'static str> {
        match &self.method {
            Method::None => Ok(Caller::everybody()),
            Method::Jwt(jwt) => {
                let token = bearer(headers)?;
                jwt.verify(token, SystemTime::now()).await.map(|caller| caller.within(self.allow_wildcard))
            }
            Method::Mtls(directory) => directory.find(peer).map(|caller| caller.within(self.allow_wildcard)),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, &'static str> {
    let mut all = headers.get_all(header::AUTHORIZATION).into_iter();
    let (Some(value), None) = (all.next(), all.next()) else {
        return Err("the call needs one `authorization: Bearer` token");
    };
    let text = value.to_str().unwrap_or_default();
    let (scheme, token) = text.split_once(' ').unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err("the call needs one `authorization: Bearer` token");
    }
    Ok(token.trim())
}
