//! What the requests of several calls have in common.

use partita_model::limits::ID_CHARS_MAX;
use partita_model::{TenantId, Violations};

use crate::partition_message::check_text;

/// The tenant; none for all.
pub(super) fn parse_tenant(violations: &mut Violations, sent: &str) -> Option<TenantId> {
    match sent {
        "" => None,
        tenant => violations.check("tenant_id", TenantId::parse(tenant)),
    }
}

/// Who says so; nobody needs to where nothing is changed.
pub(super) fn check_user(violations: &mut Violations, sent: &str, validate_only: bool) {
    if !(validate_only && sent.is_empty()) {
        violations.check("user_id", check_text(sent, ID_CHARS_MAX));
    }
}
