use std::net::IpAddr;

use uuid::Uuid;

use crate::Violations;
use crate::limits::{CLASS_CHARS_MAX, ID_CHARS_MAX, RETENTION_POLICY_CHARS_MAX, USER_AGENT_CHARS_MAX};
use crate::violation::{optional_text, required_text};

/// An audit context as a caller wrote it, not yet checked. Empty text stands for "absent"; what each field
/// means stands with [`AuditContext`].
#[derive(Debug, Clone, Default)]
pub struct ContextDraft {
    /// The user that acted; must be given.
    pub user_id: String,
    /// Ties together what belongs to one business act.
    pub correlation_id: String,
    /// UUID text: the event that caused this one.
    pub causation_id: String,
    /// The legal ground of processing.
    pub legal_basis: String,
    /// How sensitive the data are.
    pub data_classification: String,
    /// Name of the retention policy.
    pub retention_policy: String,
    /// An address or a network.
    pub ip_address: String,
    /// The client's user agent.
    pub user_agent: String,
    /// The user's session.
    pub session_id: String,
    /// The request that the client was serving.
    pub request_id: String,
}

/// Who did it, from where, and on what legal ground: the audit columns that every event carries.
///
/// A context that comes with an append is checked by [`crate::Append::parse`]; one that comes from a row
/// written by another program is passed on as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditContext {
    /// The user that acted; required, up to 255 characters.
    pub user_id: String,
    /// Ties together what belongs to one business act.
    pub correlation_id: Option<String>,
    /// The event that caused this one.
    pub causation_id: Option<Uuid>,
    /// The legal ground of processing, up to 50 characters.
    pub legal_basis: Option<String>,
    /// How sensitive the data are, up to 50 characters.
    pub data_classification: Option<String>,
    /// Name of the retention policy, up to 100 characters. Partita stores it and does not act on it.
    pub retention_policy: Option<String>,
    /// An address or a network, as PostgreSQL's `inet` prints it.
    pub ip_address: Option<String>,
    /// The client's user agent, up to 1,024 characters.
    pub user_agent: Option<String>,
    /// The user's session.
    pub session_id: Option<String>,
    /// The request that the client was serving.
    pub request_id: Option<String>,
}

impl AuditContext {
    /// Brings a draft into the form that is stored, and notes every field that a column would refuse.
    pub(crate) fn parse(violations: &mut Violations, draft: ContextDraft) -> Self {
        violations.check("context.user_id", required_text(&draft.user_id, ID_CHARS_MAX));
        let mut text = |name: &str, value: String, chars_max: usize| {
            violations.check(&format!("context.{name}"), optional_text(&value, chars_max));
            Some(value).filter(|value| !value.is_empty())
        };
        let correlation_id = text("correlation_id", draft.correlation_id, ID_CHARS_MAX);
        let legal_basis = text("legal_basis", draft.legal_basis, CLASS_CHARS_MAX);
        let data_classification = text("data_classification", draft.data_classification, CLASS_CHARS_MAX);
        let retention_policy = text("retention_policy", draft.retention_policy, RETENTION_POLICY_CHARS_MAX);
        let user_agent = text("user_agent", draft.user_agent, USER_AGENT_CHARS_MAX);
        let session_id = text("session_id", draft.session_id, ID_CHARS_MAX);
        let request_id = text("request_id", draft.request_id, ID_CHARS_MAX);
        let causation_id = match draft.causation_id.as_str() {
            "" => None,
            id => violations.check("context.causation_id", parse_uuid(id)),
        };
        let ip_address = match draft.ip_address.as_str() {
            "" => None,
            address => violations.check("context.ip_address", canonical_inet(address)),
        };
        Self {
            user_id: draft.user_id,
            correlation_id,
            causation_id,
            legal_basis,
            data_classification,
            retention_policy,
            ip_address,
            user_agent,
            session_id,
            request_id,
        }
    }
}

/// A UUID in the one form that the API speaks, 8-4-4-4-12 digits in either case; no braces, no `urn:`.
pub(crate) fn parse_uuid(text: &str) -> Result<Uuid, String> {
    const HYPHENATED_BYTES: usize = 36;
    let uuid = Some(text).filter(|text| text.len() == HYPHENATED_BYTES).map(Uuid::try_parse);
    uuid.and_then(Result::ok)
        .ok_or_else(|| format!("`{text}` is not a UUID such as 0192d3a4-6f00-7000-8000-0123456789ab"))
}

/// The address as `inet` prints it: no prefix length for a single host, the bits right of it kept.
pub(crate) fn canonical_inet(text: &str) -> Result<String, String> {
    let refused = || format!("`{text}` is not an IPv4 or IPv6 address, or a network such as 10.0.0.0/8");
    let (address, prefix) =
        text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().map_err(|_| refused())?;
    let bits_max: u8 = if address.is_ipv4() { 32 } else { 128 };
    match prefix.map(str::parse::<u8>) {
        None => Ok(address.to_string()),
        Some(Ok(bits)) if bits == bits_max => Ok(address.to_string()),
        Some(Ok(bits)) if bits < bits_max => Ok(format!("{address}/{bits}")),
        Some(_) => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_take_the_form_that_inet_prints() {
        for (sent, stored) in [
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3/32", "10.1.2.3"),
            ("10.1.2.3/8", "10.1.2.3/8"),
            ("2001:DB8::0001", "2001:db8::1"),
            ("::ffff:10.0.0.1", "::ffff:10.0.0.1"),
        ] {
            assert_eq!(canonical_inet(sent).unwrap(), stored);
        }
        for bad in ["", "10.1.2", "10.1.2.3/33", "::1/129", "10.1.2.3/x", "host", "fe80::1%eth0"] {
            assert!(canonical_inet(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_uuid_has_one_form() {
        let id = parse_uuid("0192D3A4-6F00-7000-8000-0123456789AB").unwrap();
        assert_eq!(id.to_string(), "0192d3a4-6f00-7000-8000-0123456789ab");
        for bad in ["", "7", "0192d3a46f00700080000123456789ab", "{0192d3a4-6f00-7000-8000-0123456789ab}"] {
            assert!(parse_uuid(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let draft = ContextDraft {
            legal_basis: "x".repeat(51),
            session_id: "a\0".to_owned(),
            causation_id: "order-42".to_owned(),
            ip_address: "nowhere".to_owned(),
            ..ContextDraft::default()
        };
        let mut violations = Violations::default();
        AuditContext::parse(&mut violations, draft);
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "context.user_id",
                "context.legal_basis",
                "context.session_id",
                "context.causation_id",
                "context.ip_address"
            ]
        );
    }

    #[test]
    fn what_is_left_out_is_absent() {
        let draft = ContextDraft { user_id: "ann".to_owned(), ..ContextDraft::default() };
        let mut violations = Violations::default();
        let context = AuditContext::parse(&mut violations, draft);
        assert_eq!(context, AuditContext { user_id: "ann".to_owned(), ..AuditContext::default() });
        assert!(violations.is_empty());
    }
}
