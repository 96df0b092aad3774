use partita_model::{Month, Timestamp};
use partita_proto::convert::timestamp_to_wire;
use time::OffsetDateTime;

/// An instant as it is sent, from RFC 3339.
pub fn at(text: &str) -> prost_types::Timestamp {
    timestamp_to_wire(Timestamp::parse_rfc3339(text).unwrap())
}

/// The month that lies so many months after the current one (before it: negative), in UTC.
pub fn month(offset: i32) -> Month {
    Month::of(Timestamp::from_datetime(OffsetDateTime::now_utc())).plus(offset)
}

/// The first instants of these months, as RFC 3339; counted from the current month.
pub fn months(offsets: impl IntoIterator<Item = i32>) -> Vec<String> {
    offsets.into_iter().map(|offset| month(offset).start().to_string()).collect()
}
