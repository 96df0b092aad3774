use std::fmt;

use partita_model::{ChainFault, StreamId, Version};

/// Something that is not as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainFinding {
    /// The stream, as the row names it now; none where a position is missing.
    pub stream: Option<StreamId>,
    /// The event's version, likewise; 0 where there is none.
    pub version: Version,
    /// Its place in the feed, where it has one.
    pub position: Option<i64>,
    /// The table that is wrong.
    pub table: ChainTable,
    /// What is wrong.
    pub fault: Fault,
}

/// Which table a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainTable {
    /// `event_store`.
    Legacy,
    /// `event_store_partitioned`.
    Partitioned,
}

/// What is wrong with an event, or with its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The hash chain of its stream is broken there.
    Chain(ChainFault),
    /// This table lacks it, the other has it.
    NoCopy,
    /// The tables differ, though the hash of this table's copy is right, or is another program's.
    CopyDiffers,
    /// The stream's record ends before it, or does not span its time: reads may pass it over.
    Unrecorded,
    /// Nothing stands at these positions.
    PositionMissing {
        /// The first of them.
        first: i64,
        /// The last of them.
        last: i64,
    },
    /// Another event stands at its position as well.
    PositionRepeated,
    /// Its position was never drawn: it lies behind the tenant's last one, live or of history.
    PositionUnknown,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain(fault) => fault.fmt(f),
            Self::NoCopy => f.write_str("this table lacks the event, the other one has it"),
            Self::CopyDiffers => f.write_str("the copies of the event in the two tables differ"),
            Self::Unrecorded => f.write_str("the stream's record does not cover the event"),
            Self::PositionMissing { first, last } if first == last => {
                write!(f, "position {first} is missing")
            }
            Self::PositionMissing { first, last } => write!(f, "positions {first} to {last} are missing"),
            Self::PositionRepeated => f.write_str("another event has its position as well"),
            Self::PositionUnknown => f.write_str("its position was never drawn"),
        }
    }
}
