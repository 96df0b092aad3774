use std::fmt;

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime, UtcOffset};

/// An instant in UTC with whole microseconds, as PostgreSQL's `timestamptz` holds it; years 1 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(OffsetDateTime);

impl Timestamp {
    /// An instant as the database holds it. What is finer than a microsecond is cut off.
    pub fn from_datetime(value: OffsetDateTime) -> Self {
        let value = value.to_offset(UtcOffset::UTC);
        let finer = i64::from(value.nanosecond() % 1_000);
        Self(value - Duration::nanoseconds(finer))
    }

    /// From seconds since 1970-01-01T00:00:00Z and nanoseconds 0 to 999,999,999 within that second.
    ///
    /// # Errors
    /// When the parts are out of range, or finer than a microsecond: a value that could not be read back as it
    /// was written is refused rather than rounded.
    pub fn from_unix(seconds: i64, nanos: i32) -> Result<Self, String> {
        let nanos = u32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
        let nanos = nanos.ok_or("nanos must be from 0 to 999999999")?;
        if nanos % 1_000 != 0 {
            return Err(format!("has {nanos} nanoseconds: only whole microseconds are stored"));
        }
        OffsetDateTime::from_unix_timestamp(seconds)
            .ok()
            .filter(|second| second.year() >= 1)
            .map(|second| Self(second + Duration::nanoseconds(i64::from(nanos))))
            .ok_or_else(|| "must lie in the years 1 to 9999".to_owned())
    }

    /// Parses RFC 3339, with any offset.
    ///
    /// # Errors
    /// When the text is no such instant, or finer than a microsecond.
    pub fn parse_rfc3339(text: &str) -> Result<Self, String> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
            format!("`{text}` is not an RFC 3339 instant such as 2026-11-22T14:00:00.000001Z")
        })?;
        let utc = parsed.to_offset(UtcOffset::UTC);
        Self::from_unix(utc.unix_timestamp(), i32::try_from(utc.nanosecond()).unwrap_or(-1))
    }

    /// Seconds since 1970-01-01T00:00:00Z, and nanoseconds within that second.
    pub fn to_unix(self) -> (i64, i32) {
        (self.0.unix_timestamp(), i32::try_from(self.0.nanosecond()).unwrap_or_default())
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn unix_micros(self) -> i64 {
        self.0.unix_timestamp() * 1_000_000 + i64::from(self.0.microsecond())
    }

    /// The instant for a database driver.
    pub fn to_datetime(self) -> OffsetDateTime {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_pass_and_nanoseconds_are_refused() {
        let at = Timestamp::from_unix(1_700_000_000, 123_456_000).unwrap();
        assert_eq!(at.to_unix(), (1_700_000_000, 123_456_000));
        assert_eq!(at.unix_micros(), 1_700_000_000_123_456);
        assert!(Timestamp::from_unix(0, 1).unwrap_err().contains("microseconds"));
        assert!(Timestamp::from_unix(0, -1).is_err() && Timestamp::from_unix(0, 1_000_000_000).is_err());
        assert!(Timestamp::from_unix(i64::MAX, 0).is_err());
    }

    #[test]
    fn an_offset_is_turned_into_utc() {
        let at = Timestamp::parse_rfc3339("2012-09-05T01:07:50-04:00").unwrap();
        assert_eq!(at.to_string(), "2012-09-05T05:07:50Z");
        assert!(Timestamp::parse_rfc3339("2012-09-05").is_err());
    }

    #[test]
    fn microseconds_before_1970_count_upwards_within_their_second() {
        let at = Timestamp::parse_rfc3339("1969-12-31T23:59:59.999999Z").unwrap();
        assert_eq!(at.unix_micros(), -1);
        assert_eq!(at.to_unix(), (-1, 999_999_000));
    }
}
