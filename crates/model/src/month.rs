use std::fmt;

use time::{Date, Month as CalendarMonth, OffsetDateTime, Time};

use crate::Timestamp;

/// A calendar month in UTC: the range of one partition, its first instant included and the next month's
/// excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i32,
    month: CalendarMonth,
}

impl Month {
    /// The month that an instant falls in, in UTC.
    pub fn of(at: Timestamp) -> Self {
        let at = at.to_datetime();
        Self { year: at.year(), month: at.month() }
    }

    /// Parses `YYYY-MM`.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<Self, String> {
        let at = Timestamp::parse_rfc3339(&format!("{text}-01T00:00:00Z")).ok();
        let month = at.map(Self::of).filter(|month| month.to_string() == text);
        month.ok_or_else(|| "must be a month such as 2026-11".to_owned())
    }

    /// The month `count` months later, or as near as the years 1 to 9999 allow.
    pub fn plus(self, count: i32) -> Self {
        let index = i64::from(self.year) * 12 + i64::from(u8::from(self.month)) - 1 + i64::from(count);
        let index = index.clamp(12, 9_999 * 12 + 11);
        let month = u8::try_from(index % 12 + 1).ok().and_then(|month| CalendarMonth::try_from(month).ok());
        Self {
            year: i32::try_from(index / 12).unwrap_or(self.year),
            month: month.unwrap_or(CalendarMonth::January),
        }
    }

    /// The first instant of the month.
    pub fn start(self) -> Timestamp {
        let day = Date::from_calendar_date(self.year, self.month, 1).unwrap_or(Date::MIN);
        Timestamp::from_datetime(OffsetDateTime::new_utc(day, Time::MIDNIGHT))
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, u8::from(self.month))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month_of(text: &str) -> Month {
        Month::of(Timestamp::parse_rfc3339(text).unwrap())
    }

    #[test]
    fn a_month_is_the_utc_month_whatever_the_offset() {
        assert_eq!(month_of("2024-02-29T23:59:59.999999Z").to_string(), "2024-02");
        assert_eq!(month_of("2024-03-01T00:00:00Z").to_string(), "2024-03");
        assert_eq!(month_of("2024-12-31T20:00:00-05:00").to_string(), "2025-01");
        assert_eq!(month_of("2025-01-01T10:00:00+14:00").to_string(), "2024-12");
    }

    #[test]
    fn a_month_is_parsed_as_it_is_printed() {
        assert_eq!(Month::parse("2024-02").unwrap(), month_of("2024-02-29T00:00:00Z"));
        for bad in
            ["", "2024", "2024-13", "2024-2", "2024-02-01", "24-02", " 2024-02", "2024-02-01T00:00:00Z#"]
        {
            assert!(Month::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn months_are_counted_over_the_turn_of_the_year() {
        let december = month_of("2024-12-15T00:00:00Z");
        assert_eq!(december.plus(1).to_string(), "2025-01");
        assert_eq!(december.plus(-12).to_string(), "2023-12");
        assert_eq!(december.plus(2).start().to_string(), "2025-02-01T00:00:00Z");
        assert_eq!(december.plus(i32::MAX).to_string(), "9999-12");
        assert_eq!(december.plus(i32::MIN).to_string(), "0001-01");
    }
}
