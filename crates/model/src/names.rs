use std::fmt;

use crate::limits::{ID_CHARS_MAX, TYPE_CHARS_MAX};
use crate::violation::required_text;

/// The owner of streams: part of every key and of every statement. 1 to 255 characters of any kind but
/// U+0000; compared byte by byte, so `A-B` and `a-b` are two tenants.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(String);

impl TenantId {
    /// Checks the length and the characters.
    ///
    /// # Errors
    /// Says what is wrong with the value.
    pub fn parse(value: impl Into<String>) -> Result<Self, String> {
        let value = value.into();
        required_text(&value, ID_CHARS_MAX)?;
        Ok(Self(value))
    }

    /// The tenant as the caller wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A stream within its tenant: the ordered events of one aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    aggregate_type: String,
    aggregate_id: String,
}

impl StreamId {
    /// Checks both parts; `prefix` is put before the fields' names in the violations.
    pub(crate) fn parse(
        violations: &mut crate::Violations,
        prefix: &str,
        aggregate_type: String,
        aggregate_id: String,
    ) -> Self {
        violations.check(&format!("{prefix}aggregate_type"), required_text(&aggregate_type, TYPE_CHARS_MAX));
        violations.check(&format!("{prefix}aggregate_id"), required_text(&aggregate_id, ID_CHARS_MAX));
        Self { aggregate_type, aggregate_id }
    }

    /// A stream's name as the database holds it; rows of other programs are not checked again.
    pub fn from_row(aggregate_type: String, aggregate_id: String) -> Self {
        Self { aggregate_type, aggregate_id }
    }

    /// The kind of aggregate, such as `order`.
    pub fn aggregate_type(&self) -> &str {
        &self.aggregate_type
    }

    /// Which aggregate of that kind.
    pub fn aggregate_id(&self) -> &str {
        &self.aggregate_id
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.aggregate_type, self.aggregate_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_any_text_of_1_to_255_characters_without_nul() {
        for good in ["a", "a-b", "a_b", "o'neil \"x\"", "\u{1f3ba}", &"\u{e9}".repeat(255)] {
            assert_eq!(TenantId::parse(good).unwrap().as_str(), good);
        }
        assert!(TenantId::parse("").unwrap_err().contains("1 to 255"));
        assert!(TenantId::parse("a\0b").unwrap_err().contains("U+0000"));
        assert!(TenantId::parse("x".repeat(256)).unwrap_err().contains("256 characters, the limit is 255"));
    }
}
