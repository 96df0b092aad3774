use std::fmt;

/// One thing wrong with a request: the field, and what its value must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field as the API spells it, such as `events[3].event_type`.
    pub field: String,
    /// What is wrong, the limit, and what to do.
    pub description: String,
}

/// Everything wrong with a request; never empty when it is returned as an error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// A single violation.
    pub fn one(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self(vec![Violation { field: field.into(), description: description.into() }])
    }

    /// Adds a violation.
    pub fn push(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(Violation { field: field.into(), description: description.into() });
    }

    /// Keeps a value that was parsed, or notes why it was refused.
    pub fn check<T>(&mut self, field: &str, parsed: Result<T, String>) -> Option<T> {
        parsed.map_err(|description| self.push(field, description)).ok()
    }

    /// The violations, in the order of the request's fields.
    pub fn iter(&self) -> std::slice::Iter<'_, Violation> {
        self.0.iter()
    }

    /// Whether nothing was wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", violation.field, violation.description)?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}

/// Checks text for a `varchar(chars_max)` column that must hold something.
pub(crate) fn required_text(value: &str, chars_max: usize) -> Result<(), String> {
    if value.is_empty() {
        return Err(format!("must not be empty: give 1 to {chars_max} characters"));
    }
    optional_text(value, chars_max)
}

/// Checks text for a `varchar(chars_max)` column that may be absent.
pub(crate) fn optional_text(value: &str, chars_max: usize) -> Result<(), String> {
    // PostgreSQL's text cannot hold U+0000 in any encoding (manual, section 8.3).
    if value.contains('\0') {
        return Err("must not contain the character U+0000".to_owned());
    }
    let chars = value.chars().count();
    if chars > chars_max {
        return Err(format!("has {chars} characters, the limit is {chars_max}"));
    }
    Ok(())
}
