use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::key_source::KeySource;
use super::{Caller, JwtConfig, KeyError};

/// Checks JSON Web Tokens (RFC 7519, RFC 8725). The algorithm is the configuration's: what the token says must agree,
/// and decides nothing.
pub(super) struct JwtVerifier {
    config: JwtConfig,
    keys: Arc<KeySource>,
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood. None is.
    crit: Option<Value>,
}

pub(super) type Claims = Map<String, Value>;

impl JwtVerifier {
    pub(super) async fn open(config: JwtConfig) -> Result<Self, KeyError> {
        let keys = KeySource::open(config.keys.clone(), config.algorithm, config.refresh_interval).await?;
        Ok(Self { config, keys })
    }

    /// The caller that a token stands for.
    ///
    /// # Errors
    /// Why it is refused. Of the token itself nothing is repeated.
    pub(super) async fn verify(&self, token: &str, now: SystemTime) -> Result<Caller, &'static str> {
        const MALFORMED: &str = "the token is no signed JWT";
        let (message, signature) = token.rsplit_once('.').ok_or(MALFORMED)?;
        let (header, claims) = message.split_once('.').ok_or(MALFORMED)?;
        let header: Header = decode(header).ok_or(MALFORMED)?;
        if header.alg != self.config.algorithm.name() {
            return Err("the token is not signed by the algorithm that is configured");
        }
        if header.crit.is_some() {
            return Err("the token has critical extensions");
        }
        let key = self.keys.find(header.kid.as_deref()).await;
        let key = key.ok_or("the token is signed by a key that is not known")?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| MALFORMED)?;
        if !key.verifies(message.as_bytes(), &signature) {
            return Err("the token's signature does not fit");
        }
        let claims: Claims = decode(claims).ok_or(MALFORMED)?;
        self.check(&claims, now)
    }

    pub(super) fn check(&self, claims: &Claims, now: SystemTime) -> Result<Caller, &'static str> {
        let expires = instant(claims.get("exp")).ok_or("the token has no time of expiry (`exp`)")?;
        let expires = expires + self.config.leeway;
        if now >= expires {
            return Err("the token has expired");
        }
        if let Some(not_before) = claims.get("nbf") {
            let not_before = instant(Some(not_before)).ok_or("the token's `nbf` is no time")?;
            if now + self.config.leeway < not_before {
                return Err("the token is not valid yet");
            }
        }
        if claims.get("iss").and_then(Value::as_str) != Some(self.config.issuer.as_str()) {
            return Err("the token has another issuer (`iss`) than is configured, or none");
        }
        if !texts(claims.get("aud")).contains(&self.config.audience) {
            return Err("the token has another audience (`aud`) than is configured, or none");
        }
        let subject = claims.get("sub").and_then(Value::as_str).filter(|subject| !subject.is_empty());
        let subject = subject.ok_or("the token has no subject (`sub`)")?;
        let tenants = texts(claims.get(&self.config.tenants_claim));
        let roles = texts(claims.get(&self.config.roles_claim));
        Ok(Caller::new(subject.to_owned(), tenants, &roles).until(expires))
    }
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// A numeric date; fractions are allowed, and so are dates beyond what a clock holds.
fn instant(claim: Option<&Value>) -> Option<SystemTime> {
    /// Year 9999.
    const SECONDS_MAX: f64 = 253_402_300_799.0;
    let seconds = claim?.as_f64().filter(|seconds| *seconds >= 0.0)?;
    Some(UNIX_EPOCH + Duration::from_secs_f64(seconds.min(SECONDS_MAX)))
}

/// A string, or a list of strings.
fn texts(claim: Option<&Value>) -> BTreeSet<String> {
    match claim {
        Some(Value::String(text)) => BTreeSet::from([text.clone()]),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => BTreeSet::new(),
    }
}
