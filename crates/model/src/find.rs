use uuid::Uuid;

use crate::audit::parse_uuid;
use crate::limits::FIND_EVENTS_MAX;
use crate::{TenantId, Violations};

/// A search for events as a caller wrote it, not yet checked.
#[derive(Debug, Clone, Default)]
pub struct FindDraft {
    /// The owner of the events.
    pub tenant_id: String,
    /// UUID texts.
    pub event_ids: Vec<String>,
}

/// A search for events of one tenant by their ids; 1 to [`FIND_EVENTS_MAX`] of them, the same one more than once if the
/// caller likes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindEvents {
    /// The owner of the events.
    pub tenant: TenantId,
    /// The ids, in the caller's order; never empty.
    pub event_ids: Vec<Uuid>,
}

impl FindEvents {
    /// Checks a draft.
    ///
    /// # Errors
    /// All violations at once.
    pub fn parse(draft: FindDraft) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let tenant = violations.check("tenant_id", TenantId::parse(draft.tenant_id));
        let count = draft.event_ids.len();
        if count == 0 || count > FIND_EVENTS_MAX {
            violations.push("event_ids", format!("has {count} entries: give 1 to {FIND_EVENTS_MAX}"));
        }
        let ids = draft.event_ids.iter().take(FIND_EVENTS_MAX).enumerate();
        let event_ids: Vec<Uuid> = ids
            .filter_map(|(index, id)| violations.check(&format!("event_ids[{index}]"), parse_uuid(id)))
            .collect();
        match tenant {
            Some(tenant) if violations.is_empty() => Ok(Self { tenant, event_ids }),
            _ => Err(violations),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_fields(tenant_id: &str, event_ids: &[&str]) -> Vec<String> {
        let event_ids = event_ids.iter().map(ToString::to_string).collect();
        let violations = FindEvents::parse(FindDraft { tenant_id: tenant_id.to_owned(), event_ids });
        violations.unwrap_err().iter().map(|violation| violation.field.clone()).collect()
    }

    #[test]
    fn ids_keep_their_order_and_may_repeat() {
        let ids = [2_u128, 1, 2].map(Uuid::from_u128);
        let event_ids = ids.iter().map(ToString::to_string).collect();
        let found = FindEvents::parse(FindDraft { tenant_id: "acme".to_owned(), event_ids }).unwrap();
        assert_eq!(found.event_ids, ids);
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        assert_eq!(refused_fields("", &["x"]), ["tenant_id", "event_ids[0]"]);
        assert_eq!(refused_fields("acme", &[]), ["event_ids"]);
        let id = Uuid::nil().to_string();
        assert_eq!(refused_fields("acme", &vec![id.as_str(); FIND_EVENTS_MAX + 1]), ["event_ids"]);
    }
}
