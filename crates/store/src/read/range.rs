use partita_model::{Direction, StreamId, TenantId, Version};

/// The part of a stream that a read has looked at, whether it held events there or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRange {
    /// The owner.
    pub tenant: TenantId,
    /// The stream.
    pub stream: StreamId,
    /// The least version, at least 1.
    pub least: Version,
    /// The greatest, not below the least.
    pub greatest: Version,
    /// How many of its rows are about 1 MiB, 1 to 2,000.
    pub rows_max: u32,
}

/// The versions that a read has looked at which began at `start`, goes on at `next` (none: it is through), and ends at `head`
/// or at 1. None before its first page.
pub(super) fn looked_at(
    direction: Direction,
    start: Version,
    next: Option<Version>,
    head: Version,
) -> Option<(Version, Version)> {
    let (least, greatest) = match direction {
        Direction::Forwards => (start, next.map_or(head, |next| Version::new(next.get() - 1))),
        Direction::Backwards => (next.map_or(Version::new(1), |next| Version::new(next.get() + 1)), start),
    };
    (Version::NONE < least && least <= greatest).then_some((least, greatest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(direction: Direction, start: i32, next: Option<i32>) -> Option<(i32, i32)> {
        let looked = looked_at(direction, Version::new(start), next.map(Version::new), Version::new(10));
        looked.map(|(least, greatest)| (least.get(), greatest.get()))
    }

    #[test]
    fn a_read_that_is_through_has_looked_to_the_end_whatever_it_found_there() {
        assert_eq!(versions(Direction::Forwards, 3, None), Some((3, 10)));
        assert_eq!(versions(Direction::Backwards, 7, None), Some((1, 7)));
    }

    #[test]
    fn a_read_that_was_left_has_looked_as_far_as_its_pages_went() {
        assert_eq!(versions(Direction::Forwards, 1, Some(5)), Some((1, 4)));
        assert_eq!(versions(Direction::Backwards, 10, Some(6)), Some((7, 10)));
    }

    #[test]
    fn a_read_without_a_page_or_past_the_head_has_looked_at_nothing() {
        assert_eq!(versions(Direction::Forwards, 4, Some(4)), None);
        assert_eq!(versions(Direction::Backwards, 4, Some(4)), None);
        assert_eq!(versions(Direction::Forwards, 11, None), None);
    }
}
