use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

/// How tokens are signed (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA, PKCS #1 v1.5, SHA-256; keys of 2,048 bits and more.
    Rs256,
    /// ECDSA on P-256, SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// As a token's header names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// A JWK set (RFC 7517), as far as it is needed.
#[derive(Debug, Deserialize)]
pub(super) struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Debug, Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// A public key that checks signatures of one algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// Its name; empty where it has none.
    pub(super) kid: String,
    material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl JwkSet {
    /// The keys for signatures of this algorithm. Others, and those that cannot be read, are passed over: a set may serve
    /// several purposes.
    pub(super) fn keys(&self, algorithm: Algorithm) -> Vec<Key> {
        self.keys.iter().filter_map(|jwk| jwk.key(algorithm)).collect()
    }
}

impl Jwk {
    fn key(&self, algorithm: Algorithm) -> Option<Key> {
        let for_signatures = self.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
        let for_algorithm = self.alg.as_deref().is_none_or(|alg| alg == algorithm.name());
        if !for_signatures || !for_algorithm {
            return None;
        }
        let material = match (algorithm, self.kty.as_str(), self.crv.as_deref()) {
            (Algorithm::Rs256, "RSA", _) => {
                Material::Rsa { modulus: bytes(&self.n)?, exponent: bytes(&self.e)? }
            }
            (Algorithm::Es256, "EC", Some("P-256")) => {
                let (x, y) = (bytes(&self.x)?, bytes(&self.y)?);
                // An uncompressed point (SEC 1, section 2.3.3).
                Material::P256([&[4], x.as_slice(), y.as_slice()].concat())
            }
            (Algorithm::EdDsa, "OKP", Some("Ed25519")) => Material::Ed25519(bytes(&self.x)?),
            (Algorithm::Rs256 | Algorithm::Es256 | Algorithm::EdDsa, _, _) => return None,
        };
        Some(Key { kid: self.kid.clone().unwrap_or_default(), material })
    }
}

impl Key {
    /// Whether the key's owner signed the message.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let checked = match &self.material {
            Material::Rsa { modulus, exponent } => RsaPublicKeyComponents { n: modulus, e: exponent }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
            Material::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Material::Ed25519(point) => UnparsedPublicKey::new(&ED25519, point).verify(message, signature),
        };
        checked.is_ok()
    }
}

fn bytes(text: &Option<String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.as_deref()?.trim_end_matches('=')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by OpenSSL; its private key is gone.
    const RSA_MODULUS: &str = "vpuCzFdCvX2bAJ95r51xWWDNKamy0W1v89ko8qGrdpXJ976Ccuemir3rBLEJWOjOBjz-83OaIuiMQwsrjE0ixJe77yCYXQuYaKG7pko7RCRlrPEV0V1uxkKZQePdystO8V5or2U3At1oc76WJXx0IjDB2xIu4W6qfLPnrkniitrRRC8YJfzL1iHesHsrgW1s56dsvb4aWUmQxAdSgkPzacmsHwClrMfTyHmMWtd-IIKOOfoK9N6QsouB-qR7TrNY84v07thkXXro6BEXzXWdl0NI0uDCOCGrla3LE038pqOd68cC7bC1rmA6XRr-w5cmpoyZRwprjUen9CwDNxtipQ";
    /// Of `header.claims`.
    const RSA_SIGNATURE: &str = "SJAdH0Z5OSkoMc09UO0NZaVf83tkVkpOP0qLTAynWM2fgBo8PbknlGbgzafd1qa0GIr1OTvaX_5UwbTE5UKpSO13p6GxC20e9zDABphasSCcaQVbolCw-Nb5NlHDnsFNNIo3mvbQ1k1IOoPD7VbjSKfValJgmgv6iOQZQ0qragpobOAWa7qOkvQJCQzHTBDYgVR1UwRPSQTZKqP-Shc5P3k2TdWPkoYguUu1PuuDQPErTb7TepCtEvYKbi5fXWvuUem_V1fgovhDq-1Y193q9ZQe7wvH09OODvs5IHPWFTZU2XyV-qGLS6g4jLkl92olX4-rnO9r-AfZF2TkI9d1cQ";

    fn keys(jwk: &str, algorithm: Algorithm) -> Vec<Key> {
        let set: JwkSet = serde_json::from_str(&format!("{{\"keys\": [{jwk}]}}")).unwrap();
        set.keys(algorithm)
    }

    fn rsa(more: &str) -> String {
        format!("{{\"kty\": \"RSA\", \"kid\": \"a\", \"n\": \"{RSA_MODULUS}\", \"e\": \"AQAB\"{more}}}")
    }

    #[test]
    fn a_signature_of_rsa_holds_for_its_message_alone() {
        let key = &keys(&rsa(""), Algorithm::Rs256)[0];
        let signature = URL_SAFE_NO_PAD.decode(RSA_SIGNATURE).unwrap();
        assert!(key.verifies(b"header.claims", &signature));
        assert!(!key.verifies(b"header.claimz", &signature));
        assert!(!key.verifies(b"header.claims", &signature[1..]));
    }

    #[test]
    fn keys_of_another_kind_or_purpose_are_passed_over() {
        assert_eq!(keys(&rsa(", \"use\": \"sig\", \"alg\": \"RS256\""), Algorithm::Rs256).len(), 1);
        for other in [", \"use\": \"enc\"", ", \"alg\": \"RS512\"", ", \"alg\": \"HS256\""] {
            assert!(keys(&rsa(other), Algorithm::Rs256).is_empty(), "{other}");
        }
        assert!(keys(&rsa(""), Algorithm::EdDsa).is_empty());
        let secret = "{\"kty\": \"oct\", \"k\": \"AAAA\"}";
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
            assert!(keys(secret, algorithm).is_empty());
        }
    }
}
