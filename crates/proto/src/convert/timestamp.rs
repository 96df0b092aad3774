use partita_model::Timestamp;

/// The model's instant for one that was sent.
///
/// # Errors
/// When it is out of range, or finer than a microsecond.
pub fn timestamp_from_wire(sent: prost_types::Timestamp) -> Result<Timestamp, String> {
    Timestamp::from_unix(sent.seconds, sent.nanos)
}

/// The instant as it is sent.
pub fn timestamp_to_wire(at: Timestamp) -> prost_types::Timestamp {
    let (seconds, nanos) = at.to_unix();
    prost_types::Timestamp { seconds, nanos }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_before_1970_comes_back_as_it_was_sent() {
        let sent = prost_types::Timestamp { seconds: -1, nanos: 999_999_000 };
        assert_eq!(timestamp_to_wire(timestamp_from_wire(sent).unwrap()), sent);
    }

    #[test]
    fn what_is_finer_than_a_microsecond_is_refused() {
        let sent = prost_types::Timestamp { seconds: 0, nanos: 1 };
        assert!(timestamp_from_wire(sent).unwrap_err().contains("microseconds"));
    }
}
