use crate::{StreamId, TenantId, Timestamp, Version, Violations};

/// Which way a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// From the first version upwards.
    #[default]
    Forwards,
    /// From the last version downwards.
    Backwards,
}

/// A read as a caller wrote it, not yet checked.
#[derive(Debug, Clone, Default)]
pub struct ReadDraft {
    /// The owner of the stream.
    pub tenant_id: String,
    /// The kind of aggregate.
    pub aggregate_type: String,
    /// Which aggregate of that kind.
    pub aggregate_id: String,
    /// First version to read, inclusive; 0 for the stream's end at which the direction begins.
    pub from_version: i32,
    /// Which way.
    pub direction: Direction,
    /// Most events to read; 0 for all.
    pub max_count: i64,
    /// Earliest timestamp, inclusive.
    pub from_timestamp: Option<Result<Timestamp, String>>,
    /// Latest timestamp, exclusive.
    pub to_timestamp: Option<Result<Timestamp, String>>,
}

/// A read of one stream that is within every limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadStream {
    /// The owner of the stream.
    pub tenant: TenantId,
    /// The stream.
    pub stream: StreamId,
    /// First version to read, inclusive; none for the end at which the direction begins.
    pub from_version: Option<Version>,
    /// Which way.
    pub direction: Direction,
    /// Most events to read, at least 1; none for all.
    pub max_count: Option<u64>,
    /// Earliest timestamp, inclusive.
    pub from_timestamp: Option<Timestamp>,
    /// Latest timestamp, exclusive.
    pub to_timestamp: Option<Timestamp>,
}

impl ReadStream {
    /// Checks a draft.
    ///
    /// # Errors
    /// All violations at once.
    pub fn parse(draft: ReadDraft) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let tenant = violations.check("tenant_id", TenantId::parse(draft.tenant_id));
        let stream = StreamId::parse(&mut violations, "", draft.aggregate_type, draft.aggregate_id);
        if draft.from_version < 0 {
            violations.push("from_version", "must be 0 or greater");
        }
        let max_count = u64::try_from(draft.max_count);
        if max_count.is_err() {
            violations.push("max_count", "must be 0 (no limit) or greater");
        }
        let mut time = |field: &str, value: Option<Result<Timestamp, String>>| {
            value.and_then(|parsed| violations.check(field, parsed))
        };
        let from_timestamp = time("from_timestamp", draft.from_timestamp);
        let to_timestamp = time("to_timestamp", draft.to_timestamp);
        if let (Some(from), Some(to)) = (from_timestamp, to_timestamp)
            && from >= to
        {
            violations.push("to_timestamp", format!("must be later than from_timestamp, {from}"));
        }
        match tenant {
            Some(tenant) if violations.is_empty() => Ok(Self {
                tenant,
                stream,
                from_version: Some(Version::new(draft.from_version)).filter(|from| *from > Version::NONE),
                direction: draft.direction,
                max_count: max_count.ok().filter(|count| *count > 0),
                from_timestamp,
                to_timestamp,
            }),
            _ => Err(violations),
        }
    }
}
