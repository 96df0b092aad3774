//! Texts that nobody means well with: each is taken or refused, and what is taken is printed as it was understood.

use partita_fuzz::Fuzz;

use crate::limits::{JSON_DEPTH_MAX, JSON_NUMBER_DIGITS_MAX};
use crate::{JsonDocument, JsonError, Month, StreamId, TenantId, Timestamp};

const JSON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/json");
const TIMESTAMP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/timestamp");

#[test]
fn a_canonical_document_is_its_own_canonical_form_and_means_what_was_sent() {
    let nested = |open: &str, close: &str, depth| open.repeat(depth) + "1" + &close.repeat(depth);
    let fuzz = Fuzz::new(JSON)
        .seed(nested("[", "]", JSON_DEPTH_MAX))
        .seed(nested("{\"a\":", "}", JSON_DEPTH_MAX))
        .seed("9".repeat(JSON_NUMBER_DIGITS_MAX))
        .seed("9".repeat(5_000));
    fuzz.text(|text| {
        let known = serde_json::from_str::<&serde_json::value::RawValue>(text);
        match JsonDocument::parse(text) {
            Ok(document) => {
                let canonical = document.as_str();
                assert_eq!(JsonDocument::parse(canonical).as_ref(), Ok(&document));
                // Another parser agrees that it is JSON, and what it is.
                assert!(known.is_ok(), "taken: {text:?}");
                let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
                if !text.contains(|one: char| one.is_ascii_digit()) {
                    assert_eq!(value(text), value(canonical), "{text:?}");
                }
                assert!(!canonical.contains('\0') && !canonical.contains("\\u0000"));
            }
            Err(JsonError::Syntax(_)) => assert!(known.is_err() || has_lone_surrogate(text), "{text:?}"),
            Err(JsonError::Nul) => assert!(text.contains("\\u0000"), "{text:?}"),
            Err(JsonError::Depth) => assert!(text.len() > JSON_DEPTH_MAX, "{text:?}"),
            Err(error @ JsonError::NumberDigits) => assert!(!error.to_string().is_empty()),
        }
    });
}

/// Escapes that serde_json does not look into where it only skips a value.
fn has_lone_surrogate(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["\\ud8", "\\ud9", "\\uda", "\\udb", "\\udc", "\\udd", "\\ude", "\\udf"]
        .iter()
        .any(|half| lower.contains(half))
}

#[test]
fn an_instant_or_a_month_that_is_taken_is_printed_as_the_same_one() {
    Fuzz::new(TIMESTAMP).text(|text| {
        match Timestamp::parse_rfc3339(text) {
            Ok(at) => {
                assert_eq!(Timestamp::parse_rfc3339(&at.to_string()), Ok(at));
                let (seconds, nanos) = at.to_unix();
                assert_eq!(Timestamp::from_unix(seconds, nanos), Ok(at));
                assert!(Month::of(at).start() <= at);
            }
            Err(reason) => assert!(!reason.is_empty()),
        }
        match Month::parse(text) {
            Ok(month) => {
                assert_eq!(Month::parse(&month.to_string()), Ok(month));
                assert_eq!(Month::of(month.start()), month);
            }
            Err(reason) => assert!(!reason.is_empty()),
        }
    });
}

#[test]
fn instants_of_any_number_of_seconds_are_taken_or_refused() {
    Fuzz::new(TIMESTAMP).seed([0xff; 12]).seed([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).bytes(|bytes| {
        let Some((seconds, rest)) = bytes.split_first_chunk() else { return };
        let Some((nanos, _)) = rest.split_first_chunk() else { return };
        let (seconds, nanos) = (i64::from_be_bytes(*seconds), i32::from_be_bytes(*nanos));
        // Seconds of our age as well, which chance does not find.
        for seconds in [seconds, seconds % 253_402_300_800] {
            match Timestamp::from_unix(seconds, nanos) {
                Ok(at) => {
                    assert_eq!(at.to_unix(), (seconds, nanos));
                    assert_eq!(Timestamp::parse_rfc3339(&at.to_string()), Ok(at));
                }
                Err(reason) => assert!(!reason.is_empty()),
            }
        }
    });
}

#[test]
fn names_of_tenants_and_streams_are_kept_as_they_are_or_refused() {
    Fuzz::new(JSON).seed("é".repeat(255)).seed("é".repeat(256)).text(|text| {
        let fits =
            |chars_max: usize| !text.is_empty() && !text.contains('\0') && text.chars().count() <= chars_max;
        match TenantId::parse(text) {
            Ok(tenant) => assert!(fits(255) && tenant.as_str() == text),
            Err(reason) => assert!(!fits(255) && !reason.is_empty()),
        }
        let stream = StreamId::from_row(text.to_owned(), text.to_owned());
        assert_eq!((stream.aggregate_type(), stream.aggregate_id()), (text, text));
    });
}
