use std::sync::Arc;

use partita_model::{Append, Timestamp, Violations};
use partita_proto::v1;

use crate::client;
use crate::commands::import::format::ImportLine;
use crate::commands::import::ids::IdSource;

/// A stream with its tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct StreamKey {
    pub(super) tenant_id: String,
    pub(super) aggregate_type: String,
    pub(super) aggregate_id: String,
}

/// A line that keeps every rule which needs no database.
#[derive(Debug)]
pub(super) struct ImportEvent {
    /// Its number in the file, from 1.
    pub(super) line: u64,
    pub(super) stream: Arc<StreamKey>,
    pub(super) context: v1::AuditContext,
    pub(super) time: Option<Timestamp>,
    pub(super) event: v1::NewEvent,
}

/// What a line gets that does not say it.
#[derive(Debug, Clone)]
pub(super) struct LineDefaults {
    pub(super) user_id: String,
}

impl ImportEvent {
    /// Data and metadata, as they count for the limits of an append.
    pub(super) fn bytes(&self) -> usize {
        self.event.data.len() + self.event.metadata.len()
    }

    /// Parses and checks one line.
    ///
    /// # Errors
    /// Says everything that is wrong with it; the number of the line is the caller's to add.
    pub(super) fn parse(
        line: u64,
        text: &str,
        defaults: &LineDefaults,
        ids: &mut IdSource,
    ) -> Result<Self, String> {
        let parsed = serde_json::from_str::<ImportLine>(text).map_err(|error| not_a_line(&error))?;
        let context = parsed.context(defaults);
        let checked = Append::parse(parsed.draft(&context)).map_err(|violations| plain(&violations))?;
        let time = checked.events().next().and_then(|event| event.event_timestamp);

        let stream = StreamKey {
            tenant_id: parsed.tenant_id,
            aggregate_type: parsed.aggregate_type,
            aggregate_id: parsed.aggregate_id,
        };
        let id = parsed.event_id.filter(|id| !id.is_empty());
        let event = v1::NewEvent {
            event_id: id.unwrap_or_else(|| ids.derive(&stream, text).to_string()),
            event_type: parsed.event_type,
            data: parsed.data.get().to_owned(),
            metadata: parsed.metadata.map(|metadata| metadata.get().to_owned()).unwrap_or_default(),
            event_timestamp: time.map(client::to_wire),
        };
        Ok(Self { line, stream: Arc::new(stream), context, time, event })
    }
}

/// serde_json counts columns in a "line 1" of its own, which would be taken for ours, and ends with all the keys
/// that there are.
fn not_a_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let (what, _) = text.split_once(" at line 1 column ").unwrap_or((&text, ""));
    let (what, _) = what.split_once(", expected one of").unwrap_or((what, ""));
    format!("{what} at character {}", error.column())
}

/// The violations by the keys of the line instead of the paths of the API.
fn plain(violations: &Violations) -> String {
    let parts = violations.iter().map(|violation| {
        let field = violation.field.trim_start_matches("events[0].").trim_start_matches("context.");
        format!("{field}: {}", violation.description)
    });
    parts.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ImportEvent, String> {
        let defaults = LineDefaults { user_id: "import".to_owned() };
        ImportEvent::parse(7, text, &defaults, &mut IdSource::default())
    }

    fn line(more: &str) -> String {
        let required = r#""tenant_id":"t","aggregate_type":"order","aggregate_id":"1","event_type":"E""#;
        format!("{{{required},\"data\":{{\"n\":1.10}}{more}}}")
    }

    #[test]
    fn what_a_line_leaves_out_gets_its_default() {
        let event = parse(&line("")).unwrap();
        assert_eq!((event.line, event.context.user_id.as_str(), event.time), (7, "import", None));
        assert_eq!(event.event.data, r#"{"n":1.10}"#);
        assert_eq!(event.event.event_id, parse(&line("")).unwrap().event.event_id);
    }

    #[test]
    fn times_of_any_zone_become_utc_and_ids_are_kept() {
        let more = r#","event_timestamp":"2012-09-05T01:07:50-04:00","user_id":"ann","ip_address":"::1","#;
        let event =
            parse(&line(&format!("{more}\"event_id\":\"7b39ac98-3237-5a87-9a2b-74c14714914b\""))).unwrap();
        assert_eq!(event.event.event_id, "7b39ac98-3237-5a87-9a2b-74c14714914b");
        assert_eq!(event.time.unwrap().to_string(), "2012-09-05T05:07:50Z");
        assert_eq!((event.context.user_id.as_str(), event.context.ip_address.as_str()), ("ann", "::1"));
    }

    #[test]
    fn a_bad_line_is_refused_with_all_that_is_wrong_with_it() {
        for (text, expected) in [
            ("{", "EOF while parsing"),
            ("[]", "expected"),
            (&line(r#","colour":"red""#), "unknown field `colour`"),
            (&line(r#","data":1"#), "duplicate field `data`"),
            (&line(r#","event_timestamp":"yesterday""#), "event_timestamp: `yesterday` is not an RFC 3339"),
            (&line(r#","event_id":"7""#), "event_id: "),
            (&line(r#","causation_id":"7""#), "causation_id: `7` is not a UUID"),
            (&line(r#","metadata":"\u0000""#), "metadata: contains the character U+0000"),
            (&line(r#","session_id":"a\u0000""#), "session_id: "),
        ] {
            let refused = parse(text).unwrap_err();
            assert!(refused.contains(expected), "{text}: {refused}");
        }
    }
}
