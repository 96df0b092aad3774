use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{AuditContext, JsonDocument, StreamId, TenantId, Timestamp, Version};

/// What stands before the digest in `event_hash`: the scheme by which it was made. A row without it was hashed
/// by another program, and its hash cannot be recomputed here.
pub const HASH_SCHEME: &str = "p1:";

/// The immutable columns of an event, and the hash before it in its stream.
#[derive(Debug, Clone, Copy)]
pub struct HashInput<'a> {
    /// The owner.
    pub tenant: &'a TenantId,
    /// The stream.
    pub stream: &'a StreamId,
    /// The place in the stream.
    pub version: Version,
    /// The event's id.
    pub event_id: Uuid,
    /// What happened.
    pub event_type: &'a str,
    /// The document, in canonical form.
    pub data: &'a JsonDocument,
    /// The document beside it, in canonical form.
    pub metadata: Option<&'a JsonDocument>,
    /// The audit columns.
    pub context: &'a AuditContext,
    /// When it happened.
    pub event_timestamp: Timestamp,
    /// When it was stored.
    pub created_at: Timestamp,
    /// The `event_hash` of the event before it; none for the first of a stream.
    pub previous: Option<&'a str>,
}

/// The `event_hash` of an event: [`HASH_SCHEME`] and the SHA-256 of its canonical form in base64url without
/// padding; 46 characters of the column's 64.
///
/// The canonical form is `partita event v1` and a zero byte, then each column in the order of [`HashInput`]:
/// a zero byte for NULL; else a one byte, the length in bytes (64 bits, big-endian) and the value. Text is UTF-8,
/// a UUID its 16 bytes, the version 32 bits and a timestamp its microseconds since 1970 in 64 bits, both
/// big-endian. No value can imitate another's frame, so no two events share a form. `position` is left out: a
/// row of history gets one only when it is copied.
pub fn event_hash(input: &HashInput<'_>) -> String {
    let mut form = CanonicalForm(Sha256::new());
    form.0.update(b"partita event v1\0");
    form.value(input.tenant.as_str().as_bytes());
    form.value(input.stream.aggregate_type().as_bytes());
    form.value(input.stream.aggregate_id().as_bytes());
    form.value(&input.version.get().to_be_bytes());
    form.value(input.event_id.as_bytes());
    form.value(input.event_type.as_bytes());
    form.value(input.data.as_str().as_bytes());
    form.optional(input.metadata.map(|metadata| metadata.as_str().as_bytes()));
    form.context(input.context);
    form.value(&input.event_timestamp.unix_micros().to_be_bytes());
    form.value(&input.created_at.unix_micros().to_be_bytes());
    form.optional(input.previous.map(str::as_bytes));
    format!("{HASH_SCHEME}{}", URL_SAFE_NO_PAD.encode(form.0.finalize()))
}

/// Whether a stored hash was made by [`event_hash`], so that it can be recomputed.
pub fn is_partita_hash(hash: &str) -> bool {
    hash.starts_with(HASH_SCHEME)
}

struct CanonicalForm(Sha256);

impl CanonicalForm {
    fn value(&mut self, bytes: &[u8]) {
        self.0.update([1]);
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    fn optional(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.value(bytes),
            None => self.0.update([0]),
        }
    }

    fn context(&mut self, context: &AuditContext) {
        self.value(context.user_id.as_bytes());
        self.optional(context.correlation_id.as_deref().map(str::as_bytes));
        self.optional(context.causation_id.as_ref().map(|id| id.as_bytes().as_slice()));
        for column in [
            &context.legal_basis,
            &context.data_classification,
            &context.retention_policy,
            &context.ip_address,
            &context.user_agent,
            &context.session_id,
            &context.request_id,
        ] {
            self.optional(column.as_deref().map(str::as_bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixture {
        tenant: TenantId,
        stream: StreamId,
        data: JsonDocument,
        context: AuditContext,
    }

    impl Fixture {
        fn new() -> Self {
            Self {
                tenant: TenantId::parse("acme").unwrap(),
                stream: StreamId::from_row("order".to_owned(), "42".to_owned()),
                data: JsonDocument::parse(r#"{"total":1}"#).unwrap(),
                context: AuditContext { user_id: "ann".to_owned(), ..AuditContext::default() },
            }
        }

        fn input(&self) -> HashInput<'_> {
            let at = Timestamp::from_unix(1_700_000_000, 0).unwrap();
            HashInput {
                tenant: &self.tenant,
                stream: &self.stream,
                version: Version::new(1),
                event_id: Uuid::nil(),
                event_type: "placed",
                data: &self.data,
                metadata: None,
                context: &self.context,
                event_timestamp: at,
                created_at: at,
                previous: None,
            }
        }
    }

    #[test]
    fn the_form_of_a_hash_never_changes() {
        // Stored hashes must verify years later: a change of this value is a new scheme, not a new `p1`.
        let hash = event_hash(&Fixture::new().input());
        assert_eq!(hash, "p1:iyfqiGzIa6YeOauSgq8n6xK5pbcVLVaQFT6qIMsONFk");
        assert!(is_partita_hash(&hash));
        assert!(!is_partita_hash(&"0".repeat(64)));
    }

    #[test]
    fn every_column_and_the_previous_hash_count() {
        let fixture = Fixture::new();
        let mut other = Fixture::new();
        other.context.session_id = Some(String::new());
        other.tenant = TenantId::parse("acme2").unwrap();
        other.stream = StreamId::from_row("order4".to_owned(), "2".to_owned());
        let document = JsonDocument::parse(r#"{"total":2}"#).unwrap();
        let later = Timestamp::from_unix(1_700_000_000, 1_000).unwrap();
        let input = fixture.input();
        let inputs = [
            input,
            HashInput { tenant: &other.tenant, ..input },
            HashInput { stream: &other.stream, ..input },
            HashInput { version: Version::new(2), ..input },
            HashInput { event_id: Uuid::max(), ..input },
            HashInput { event_type: "paid", ..input },
            HashInput { data: &document, ..input },
            HashInput { metadata: Some(&document), ..input },
            HashInput { context: &other.context, ..input },
            HashInput { event_timestamp: later, ..input },
            HashInput { created_at: later, ..input },
            HashInput { previous: Some("p1:x"), ..input },
        ];
        let distinct: std::collections::HashSet<_> = inputs.iter().map(event_hash).collect();
        assert_eq!(distinct.len(), inputs.len());
    }
}
