use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use partita_server::auth::{Algorithm, AuthConfig, AuthMode, JwtConfig, KeyLocation};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What tokens of an [`Issuer`] say of themselves.
const ISSUER: &str = "https://id.example";
/// For whom they are.
const AUDIENCE: &str = "partita";

/// Somebody who issues tokens, signed by ES256.
pub struct Issuer {
    kid: String,
    key: EcdsaKeyPair,
    folder: TempDir,
}

impl Issuer {
    /// With a key of that name.
    pub fn new(kid: &str) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        Self { kid: kid.to_owned(), key, folder: TempDir::new().unwrap() }
    }

    /// Its JWK set.
    pub fn keys(&self) -> String {
        let point = self.key.public_key().as_ref();
        let part = |bytes| URL_SAFE_NO_PAD.encode::<&[u8]>(bytes);
        let (x, y) = (part(&point[1..33]), part(&point[33..]));
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": self.kid, "x": x, "y": y }] }).to_string()
    }

    /// A configuration that takes its tokens; the keys are in a file.
    pub fn accepted(&self) -> AuthConfig {
        let path = self.folder.path().join("keys.json");
        std::fs::write(&path, self.keys()).unwrap();
        self.accepted_with(KeyLocation::File(path), Duration::from_secs(60))
    }

    /// A configuration that takes its tokens, with keys from elsewhere.
    pub fn accepted_with(&self, keys: KeyLocation, refresh_interval: Duration) -> AuthConfig {
        let jwt = JwtConfig {
            algorithm: Algorithm::Es256,
            keys,
            refresh_interval,
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            tenants_claim: "tenants".to_owned(),
            roles_claim: "roles".to_owned(),
            leeway: Duration::from_secs(5),
        };
        AuthConfig { mode: AuthMode::Jwt(jwt), ..AuthConfig::default() }
    }

    /// A good token.
    pub fn token(&self, tenants: &[&str], roles: &[&str]) -> String {
        self.sign(&self.claims(tenants, roles))
    }

    /// The claims of a good token.
    pub fn claims(&self, tenants: &[&str], roles: &[&str]) -> Value {
        let hour = Self::now() + 3_600;
        json!({
            "iss": ISSUER, "aud": [AUDIENCE, "another"], "sub": "svc-orders", "exp": hour,
            "tenants": tenants, "roles": roles,
        })
    }

    /// Signs claims as it should.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(&json!({ "alg": "ES256", "typ": "JWT", "kid": self.kid }), claims)
    }

    /// Signs claims under whatever header.
    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let message = unsigned(header, claims);
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Signs claims by HS256, with the public key as the secret: what a verifier falls for that asks the token.
    pub fn sign_with_public_key(&self, claims: &Value) -> String {
        let message = unsigned(&json!({ "alg": "HS256", "kid": self.kid }), claims);
        let secret = hmac::Key::new(hmac::HMAC_SHA256, self.key.public_key().as_ref());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&secret, message.as_bytes())))
    }

    /// Claims that nobody signed.
    pub fn leave_unsigned(&self, claims: &Value) -> String {
        format!("{}.", unsigned(&json!({ "alg": "none", "kid": self.kid }), claims))
    }

    /// Seconds since 1970.
    pub fn now() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
    }
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}
