//! Tokens, claims and sets of keys that nobody means well with.

use std::time::{Duration, SystemTime};

use partita_fuzz::Fuzz;

use super::jwt::{Claims, JwtVerifier};
use super::key::JwkSet;
use super::{Algorithm, JwtConfig, KeyLocation};

const TOKENS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/jwt");
const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/jwks");
const ALGORITHMS: [Algorithm; 3] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

fn config() -> JwtConfig {
    JwtConfig {
        algorithm: Algorithm::Rs256,
        keys: KeyLocation::File(format!("{KEYS}/set").into()),
        refresh_interval: Duration::from_secs(3_600),
        issuer: "https://issuer.example".to_owned(),
        audience: "partita".to_owned(),
        tenants_claim: "tenants".to_owned(),
        roles_claim: "roles".to_owned(),
        leeway: Duration::from_secs(30),
    }
}

#[test]
fn no_token_that_was_not_signed_is_taken_and_claims_of_all_kinds_are_understood_or_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let verifier = runtime.block_on(JwtVerifier::open(config())).unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let mut understood = 0;
    let understood = std::cell::RefCell::new(&mut understood);
    Fuzz::new(TOKENS).text(|text| {
        let refused = runtime.block_on(verifier.verify(text, now)).err();
        assert!(refused.is_some_and(|reason| !reason.is_empty()), "taken: {text}");
        if let Ok(claims) = serde_json::from_str::<Claims>(text) {
            match verifier.check(&claims, now) {
                Ok(caller) => {
                    assert!(!caller.subject().is_empty());
                    **understood.borrow_mut() += 1;
                }
                Err(reason) => assert!(!reason.is_empty()),
            }
        }
    });
    assert!(**understood.borrow() > 0, "no claims were good");
}

#[test]
fn a_key_of_any_set_checks_a_signature_and_finds_it_wrong() {
    Fuzz::new(KEYS).text(|text| {
        let Ok(set) = serde_json::from_str::<JwkSet>(text) else { return };
        for algorithm in ALGORITHMS {
            for key in set.keys(algorithm) {
                assert!(!key.verifies(b"header.claims", &[7; 64]));
            }
        }
    });
}
