//! Numbers and spans of time for people.

/// With a comma between thousands: `1,234,567`.
pub(super) fn number(count: i64) -> String {
    let digits = count.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if count < 0 {
        text.push('-');
    }
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate in rows a second.
pub(super) fn rate(rows_per_second: f64) -> String {
    format!("{} rows/s", number(rows_per_second.max(0.0).round() as i64))
}

/// A span in the two largest units that it has: `3 h 12 min`.
pub(super) fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{} d {} h", number(days), hours % 24),
    }
}

/// A part of a whole in percent, rounded down, so that 100 means all of it.
pub(super) fn percent(part: i64, whole: i64) -> i64 {
    if whole <= 0 {
        return 100;
    }
    (part.clamp(0, whole) as i128 * 100 / whole as i128) as i64
}

/// A limit, where 0 stands for none.
pub(super) fn limit(value: Option<i32>, unit: &str) -> String {
    match value.unwrap_or_default() {
        0 => "no limit".to_owned(),
        value => format!("{}{unit}", number(i64::from(value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let numbers = [0, 7, 999, 1_000, 1_234_567, -1_234, i64::MIN].map(number);
        let expected = ["0", "7", "999", "1,000", "1,234,567", "-1,234", "-9,223,372,036,854,775,808"];
        assert_eq!(numbers, expected);
    }

    #[test]
    fn a_span_is_told_in_its_two_largest_units() {
        let spans = [-1, 59, 61, 3_599, 7_260, 90_061].map(span);
        assert_eq!(spans, ["0 s", "59 s", "1 min 1 s", "59 min 59 s", "2 h 1 min", "1 d 1 h"]);
    }

    #[test]
    fn a_hundred_percent_means_all_of_it() {
        assert_eq!([percent(999, 1_000), percent(5, 5), percent(9, 5), percent(0, 0)], [99, 100, 100, 100]);
        assert_eq!(percent(i64::MAX, i64::MAX), 100);
    }
}
