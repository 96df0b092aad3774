use std::fmt;

/// A place in a stream: 1, 2, 3 …; a stream that does not exist is at 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(i32);

impl Version {
    /// Where a stream stands before its first event.
    pub const NONE: Self = Self(0);

    /// A version as the database holds it; a negative one is taken as 0.
    pub const fn new(value: i32) -> Self {
        Self(if value < 0 { 0 } else { value })
    }

    /// The number.
    pub const fn get(self) -> i32 {
        self.0
    }

    /// The version `count` events later, or `None` past [`crate::limits::VERSION_MAX`].
    pub fn checked_add(self, count: usize) -> Option<Self> {
        i32::try_from(count).ok().and_then(|count| self.0.checked_add(count)).map(Self)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a caller believes of a stream before it appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedVersion {
    /// No belief: append after whatever is there.
    Any,
    /// The stream does not exist.
    NoStream,
    /// The stream has at least one event, expired ones included.
    StreamExists,
    /// The stream's last event has this version, at least 1.
    Exact(Version),
}

impl ExpectedVersion {
    /// Whether a stream that stands at `actual` is as expected.
    pub fn accepts(self, actual: Version) -> bool {
        match self {
            Self::Any => true,
            Self::NoStream => actual == Version::NONE,
            Self::StreamExists => actual > Version::NONE,
            Self::Exact(version) => actual == version,
        }
    }
}

impl fmt::Display for ExpectedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::NoStream => f.write_str("no_stream"),
            Self::StreamExists => f.write_str("stream_exists"),
            Self::Exact(version) => version.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_expectation_accepts_what_it_says() {
        let at = Version::new;
        assert!(ExpectedVersion::Any.accepts(at(0)) && ExpectedVersion::Any.accepts(at(9)));
        assert!(ExpectedVersion::NoStream.accepts(at(0)) && !ExpectedVersion::NoStream.accepts(at(1)));
        assert!(
            ExpectedVersion::StreamExists.accepts(at(1)) && !ExpectedVersion::StreamExists.accepts(at(0))
        );
        assert!(
            ExpectedVersion::Exact(at(4)).accepts(at(4)) && !ExpectedVersion::Exact(at(4)).accepts(at(5))
        );
    }

    #[test]
    fn a_version_never_wraps() {
        assert_eq!(Version::new(i32::MAX - 1).checked_add(1), Some(Version::new(i32::MAX)));
        assert_eq!(Version::new(i32::MAX).checked_add(1), None);
    }
}
