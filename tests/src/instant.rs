use std::time::Duration;

use partita_model::{Month, Timestamp};
use partita_proto::convert::timestamp_to_wire;
use time::OffsetDateTime;

/// An instant as it is sent, from RFC 3339.
pub fn at(text: &str) -> prost_types::Timestamp {
    timestamp_to_wire(Timestamp::parse_rfc3339(text).unwrap())
}

/// Longer than a test takes that speaks of the current month, on a machine that is busy with other tests.
const TEST_TAKES_MAX: Duration = Duration::from_mins(3);

/// How long a test that begins at an instant is to wait: until the month has ended, if it is about to. "The current month" then
/// is the same one for a test and its database from beginning to end.
pub fn until_month_is_young(begins: OffsetDateTime) -> Duration {
    let ends = Month::of(Timestamp::from_datetime(begins)).plus(1).start().to_datetime();
    let left = Duration::try_from(ends - begins).unwrap_or_default();
    if left < TEST_TAKES_MAX { left + Duration::from_millis(1) } else { Duration::ZERO }
}

/// The month that lies so many months after the current one (before it: negative), in UTC.
pub fn month(offset: i32) -> Month {
    Month::of(Timestamp::from_datetime(OffsetDateTime::now_utc())).plus(offset)
}

/// The first instants of these months, as RFC 3339; counted from the current month.
pub fn months(offsets: impl IntoIterator<Item = i32>) -> Vec<String> {
    offsets.into_iter().map(|offset| month(offset).start().to_string()).collect()
}
