use jiter::{Jiter, JiterError, JiterErrorType, JsonErrorType, Peek};

use crate::limits::{JSON_DEPTH_MAX, JSON_NUMBER_DIGITS_MAX};

/// A JSON document that `jsonb` can store, checked once.
///
/// It holds the *canonical form*: the document without its accidents, the same for what a caller sent and for
/// what PostgreSQL later prints of it. No white space; the keys of an object in byte order, of two equal keys
/// the last (as `jsonb` keeps it); strings with the shortest escapes of RFC 8259; numbers written out as
/// PostgreSQL's `numeric` prints them (`1.50e1` is `15.0`). The hash chain is built on this form, and it is
/// what is sent to the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonDocument(String);

/// Why a text is not a JSON document that `jsonb` can store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text is not JSON (RFC 8259).
    #[error("is not JSON: {0}")]
    Syntax(String),
    /// `\u0000` is legal JSON, but PostgreSQL's text cannot hold it (manual, section 8.14).
    #[error("contains the character U+0000, which jsonb cannot store")]
    Nul,
    /// Nested deeper than [`JSON_DEPTH_MAX`].
    #[error("is nested deeper than {JSON_DEPTH_MAX} levels")]
    Depth,
    /// A number that would be stored with more than [`JSON_NUMBER_DIGITS_MAX`] digits.
    #[error(
        "contains a number of more than {JSON_NUMBER_DIGITS_MAX} digits when written out without exponent"
    )]
    NumberDigits,
}

impl JsonDocument {
    /// Checks a text and brings it into the canonical form.
    ///
    /// # Errors
    /// When the text is not JSON, or is JSON that `jsonb` refuses or would blow up.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        let mut jiter = Jiter::new(text.as_bytes());
        let mut out = String::with_capacity(text.len());
        let peek = jiter.peek().map_err(|error| syntax(&jiter, &error))?;
        write_value(&mut jiter, peek, &mut out, 0)?;
        jiter.finish().map_err(|error| syntax(&jiter, &error))?;
        Ok(Self(out))
    }

    /// The canonical form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn syntax(jiter: &Jiter<'_>, error: &JiterError) -> JsonError {
    // The parser has a bound of its own for digits, far beyond ours.
    if matches!(error.error_type, JiterErrorType::JsonError(JsonErrorType::NumberOutOfRange)) {
        return JsonError::NumberDigits;
    }
    JsonError::Syntax(error.description(jiter))
}

fn write_value(jiter: &mut Jiter<'_>, peek: Peek, out: &mut String, depth: usize) -> Result<(), JsonError> {
    match peek {
        Peek::Object | Peek::Array if depth >= JSON_DEPTH_MAX => Err(JsonError::Depth),
        Peek::Object => write_object(jiter, out, depth),
        Peek::Array => write_array(jiter, out, depth),
        Peek::String => {
            let text = read(jiter, |jiter| jiter.known_str().map(str::to_owned))?;
            write_string(&text, out)
        }
        Peek::Null => {
            read(jiter, Jiter::known_null)?;
            out.push_str("null");
            Ok(())
        }
        Peek::True | Peek::False => {
            let value = read(jiter, |jiter| jiter.known_bool(peek))?;
            out.push_str(if value { "true" } else { "false" });
            Ok(())
        }
        // What is none of the above is a number or an error, which only reading it tells.
        _ => {
            let number = read(jiter, |jiter| jiter.known_number_bytes(peek).map(<[u8]>::to_vec))?;
            write_number(&String::from_utf8_lossy(&number), out)
        }
    }
}

fn read<'j, T>(
    jiter: &mut Jiter<'j>,
    step: impl FnOnce(&mut Jiter<'j>) -> Result<T, JiterError>,
) -> Result<T, JsonError> {
    step(jiter).map_err(|error| syntax(jiter, &error))
}

fn write_array(jiter: &mut Jiter<'_>, out: &mut String, depth: usize) -> Result<(), JsonError> {
    out.push('[');
    let mut next = read(jiter, Jiter::known_array)?;
    let mut first = true;
    while let Some(peek) = next {
        if !first {
            out.push(',');
        }
        first = false;
        write_value(jiter, peek, out, depth + 1)?;
        next = read(jiter, Jiter::array_step)?;
    }
    out.push(']');
    Ok(())
}

fn write_object(jiter: &mut Jiter<'_>, out: &mut String, depth: usize) -> Result<(), JsonError> {
    let mut members: Vec<(String, String)> = Vec::new();
    let mut next = read(jiter, |jiter| Ok(jiter.known_object()?.map(str::to_owned)))?;
    while let Some(key) = next {
        let peek = read(jiter, Jiter::peek)?;
        let mut value = String::new();
        write_value(jiter, peek, &mut value, depth + 1)?;
        members.push((key, value));
        next = read(jiter, |jiter| Ok(jiter.next_key()?.map(str::to_owned)))?;
    }
    // A stable sort keeps equal keys in the order they were sent, so the last of them is the one to write.
    members.sort_by(|(left, _), (right, _)| left.cmp(right));
    out.push('{');
    let mut first = true;
    for (index, (key, value)) in members.iter().enumerate() {
        if members.get(index + 1).is_some_and(|(later, _)| later == key) {
            continue;
        }
        if !first {
            out.push(',');
        }
        first = false;
        write_string(key, out)?;
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    Ok(())
}

fn write_string(text: &str, out: &mut String) -> Result<(), JsonError> {
    if text.contains('\0') {
        return Err(JsonError::Nul);
    }
    let quoted = serde_json::to_string(text).map_err(|error| JsonError::Syntax(error.to_string()))?;
    out.push_str(&quoted);
    Ok(())
}

/// Writes a number as `numeric_in` followed by `numeric_out` would: every digit of the fraction is kept, the
/// exponent is worked in, and zero has no sign.
fn write_number(number: &str, out: &mut String) -> Result<(), JsonError> {
    let (negative, rest) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i64 = exponent.parse().map_err(|_| JsonError::NumberDigits)?;
    let shift = usize::try_from(exponent.unsigned_abs()).map_err(|_| JsonError::NumberDigits)?;
    if whole.len().saturating_add(fraction.len()).saturating_add(shift) > JSON_NUMBER_DIGITS_MAX {
        return Err(JsonError::NumberDigits);
    }

    let mut digits = format!("{whole}{fraction}");
    let scale = if exponent < 0 { fraction.len() + shift } else { fraction.len().saturating_sub(shift) };
    if exponent > 0 {
        digits.extend(std::iter::repeat_n('0', shift.saturating_sub(fraction.len())));
    }
    let missing = (scale + 1).saturating_sub(digits.len());
    digits.insert_str(0, &"0".repeat(missing));

    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let whole = whole.trim_start_matches('0');
    if negative && digits.bytes().any(|digit| digit != b'0') {
        out.push('-');
    }
    out.push_str(if whole.is_empty() { "0" } else { whole });
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        JsonDocument::parse(text).unwrap().as_str().to_owned()
    }

    #[test]
    fn accidents_of_writing_do_not_reach_the_canonical_form() {
        assert_eq!(canonical(" { \"b\" : 1 , \"a\" : [ true , null ] } "), r#"{"a":[true,null],"b":1}"#);
        assert_eq!(canonical(r#"{"a":1,"b":2,"a":3}"#), r#"{"a":3,"b":2}"#);
        assert_eq!(canonical(r#""\u00e9\/\n""#), "\"\u{e9}/\\n\"");
        assert_eq!(canonical("[]"), "[]");
        assert_eq!(canonical("{}"), "{}");
        assert_eq!(
            canonical(r#"{"$serde_json::private::Number":"1"}"#),
            r#"{"$serde_json::private::Number":"1"}"#
        );
    }

    #[test]
    fn numbers_are_written_out_as_numeric_prints_them() {
        for (sent, stored) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.00", "0.00"),
            ("1.0", "1.0"),
            ("1e2", "100"),
            ("1.50e1", "15.0"),
            ("1.5E-3", "0.0015"),
            ("-12.5e0", "-12.5"),
            ("0.5e1", "5"),
            ("0e-5", "0.00000"),
            ("123456789012345678901234567890.1", "123456789012345678901234567890.1"),
        ] {
            assert_eq!(canonical(sent), stored, "{sent}");
        }
    }

    #[test]
    fn what_jsonb_cannot_hold_is_refused_with_its_reason() {
        assert_eq!(JsonDocument::parse(r#"{"a":"\u0000"}"#), Err(JsonError::Nul));
        assert_eq!(JsonDocument::parse(r#"{"\u0000":1}"#), Err(JsonError::Nul));
        for number in ["1e1000", "1e-1000", "1e99999999999999999999", "-1e400000"] {
            assert_eq!(JsonDocument::parse(number), Err(JsonError::NumberDigits), "{number}");
        }
        assert_eq!(JsonDocument::parse(&"9".repeat(5_000)), Err(JsonError::NumberDigits));
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(JsonDocument::parse(&nested(JSON_DEPTH_MAX)).is_ok());
        assert_eq!(JsonDocument::parse(&nested(JSON_DEPTH_MAX + 1)), Err(JsonError::Depth));
        for bad in
            ["", "{", "nul", "{\"a\":1,}", "[1 2]", "1 2", "'a'", "NaN", "\"\\ud800\"", "01", "+1", "1."]
        {
            assert!(matches!(JsonDocument::parse(bad), Err(JsonError::Syntax(_))), "{bad}");
        }
    }
}
