use std::collections::HashSet;

use futures_util::TryStreamExt as _;
use jiter::JsonValue;
use partita_model::JsonDocument;
use sqlx::PgConnection;

/// What became of all documents.
#[derive(Debug, Default)]
pub(super) struct Documents {
    /// How many cannot be kept.
    pub(super) refused: u64,
    pub(super) refused_example: Option<String>,
    pub(super) refused_reason: String,
    /// How many would be kept, but not whole.
    pub(super) changed: u64,
    pub(super) changed_example: Option<String>,
}

/// Reads all documents, one after the other: memory of one row at a time.
pub(super) async fn read(connection: &mut PgConnection) -> sqlx::Result<Documents> {
    let mut documents = Documents::default();
    let mut rows = sqlx::query_file!("sql/adoption/scan_documents.sql").fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let event = row.event_id.unwrap_or_else(|| "without an id".to_owned());
        for text in [row.event_data, row.event_metadata].into_iter().flatten() {
            documents.judge(&event, &text);
        }
    }
    Ok(documents)
}

impl Documents {
    fn judge(&mut self, event: &str, text: &str) {
        if let Err(error) = JsonDocument::parse(text) {
            self.refused += 1;
            if self.refused_example.is_none() {
                self.refused_example = Some(event.to_owned());
                self.refused_reason = error.to_string();
            }
        } else if names_a_key_twice(text) {
            self.changed += 1;
            self.changed_example.get_or_insert_with(|| event.to_owned());
        }
    }
}

/// `jsonb` keeps the last of two members with the same key, and says nothing.
fn names_a_key_twice(text: &str) -> bool {
    JsonValue::parse(text.as_bytes(), false).is_ok_and(|value| has_twin_keys(&value))
}

fn has_twin_keys(value: &JsonValue<'_>) -> bool {
    match value {
        JsonValue::Object(members) => {
            let mut seen = HashSet::with_capacity(members.len());
            members.iter().any(|(key, value)| !seen.insert(key) || has_twin_keys(value))
        }
        JsonValue::Array(items) => items.iter().any(has_twin_keys),
        JsonValue::Null
        | JsonValue::Bool(_)
        | JsonValue::Int(_)
        | JsonValue::Float(_)
        | JsonValue::Str(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_are_found_at_any_depth_and_in_no_other_case() {
        for twins in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"\u0061":2}}]"#] {
            assert!(names_a_key_twice(twins), "{twins}");
        }
        for single in [r#"{"a":{"a":1},"b":[{"a":1},{"a":2}]}"#, "[]", "1e400", r#""a""#] {
            assert!(!names_a_key_twice(single), "{single}");
        }
    }
}
