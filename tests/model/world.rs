//! What should be there.

use std::collections::{BTreeMap, BTreeSet};

use partita_model::Month;
use partita_model::Timestamp;
use uuid::Uuid;

/// Who other programs say that they are. What they write continues no chain of hashes.
pub(crate) const FOREIGN_USER: &str = "legacy-app";

/// The phase, as the control row has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    Fenced,
    Finalized,
    Restoring,
}

impl Phase {
    /// Whether every event that is above the floor, or was, is in the legacy table.
    pub(crate) fn legacy_is_whole(self) -> bool {
        match self {
            Self::Open | Self::Fenced => true,
            Self::Finalized | Self::Restoring => false,
        }
    }

    pub(crate) fn writes_legacy(self) -> bool {
        match self {
            Self::Open | Self::Fenced | Self::Restoring => true,
            Self::Finalized => false,
        }
    }
}

/// Where the partitioned table has an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere: it was written to legacy alone, or its month is dropped.
    Nowhere,
    Attached,
    /// Its month is detached, and may come back.
    Detached,
}

#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) stream: usize,
    pub(crate) version: i32,
    pub(crate) id: Uuid,
    pub(crate) event_type: String,
    pub(crate) data: String,
    pub(crate) metadata: String,
    pub(crate) user: String,
    pub(crate) at: Timestamp,
    pub(crate) in_legacy: bool,
    /// A restore could not copy it: the legacy table has another event of its id.
    pub(crate) left_behind: bool,
    pub(crate) place: Place,
    pub(crate) position: Position,
    /// Once it was read.
    pub(crate) hash: Option<String>,
}

/// Where an event stands in the feed, for as long as it is in the partitioned table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    Live(i64),
    /// Of history; which, is known once it was read.
    History(Option<i64>),
}

/// What was acknowledged, as it can be sent again.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) tenant: usize,
    pub(crate) parts: Vec<SentPart>,
}

#[derive(Debug, Clone)]
pub(crate) struct SentPart {
    pub(crate) stream: usize,
    pub(crate) expected: partita_proto::v1::expected_version::Expected,
    pub(crate) events: Vec<partita_proto::v1::NewEvent>,
}

#[derive(Debug, Default)]
pub(crate) struct Tenant {
    pub(crate) events: Vec<Event>,
    pub(crate) last_position: i64,
    pub(crate) floor: Option<Timestamp>,
    /// Proved equal since the fence went up.
    pub(crate) verified: bool,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) phase: Phase,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) sent: Vec<Sent>,
}

/// Which tables an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tables {
    Legacy,
    Both,
    Partitioned,
}

impl Tenant {
    /// The version of a stream's last event, wherever that is.
    pub(crate) fn head(&self, stream: usize) -> i32 {
        self.of(stream).map(|event| event.version).max().unwrap_or(0)
    }

    /// The version of a stream's last event in the legacy table.
    pub(crate) fn legacy_head(&self, stream: usize) -> i32 {
        self.of(stream).filter(|event| event.in_legacy).map(|event| event.version).max().unwrap_or(0)
    }

    pub(crate) fn of(&self, stream: usize) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.stream == stream)
    }

    pub(crate) fn is_below_floor(&self, at: Timestamp) -> bool {
        self.floor.is_some_and(|floor| at < floor)
    }

    /// Whether a reader of these tables sees an event.
    pub(crate) fn sees(&self, event: &Event, tables: Tables) -> bool {
        let is_partitioned = event.place == Place::Attached;
        match tables {
            Tables::Legacy => event.in_legacy,
            Tables::Both => (event.in_legacy || is_partitioned) && !self.is_below_floor(event.at),
            Tables::Partitioned => is_partitioned && !self.is_below_floor(event.at),
        }
    }

    /// Copies to the partitioned table what it lacks.
    pub(crate) fn backfill(&mut self) {
        let floor = self.floor;
        for event in &mut self.events {
            let is_live = floor.is_none_or(|floor| event.at >= floor);
            if is_live && event.in_legacy && event.place == Place::Nowhere {
                event.place = Place::Attached;
                event.position = Position::History(None);
            }
        }
    }

    /// Copies to the legacy table what it lacks, of all months that are kept.
    pub(crate) fn restore_legacy(&mut self) {
        for event in &mut self.events {
            event.in_legacy |= event.place != Place::Nowhere && !event.left_behind;
        }
    }

    /// Leaves an event behind that could not be copied to legacy, for which there must be a reason.
    pub(crate) fn leave_behind(&mut self, id: Uuid, version: i32) {
        let kept = |event: &&Event| event.id == id && (event.in_legacy || event.place != Place::Nowhere);
        assert!(self.events.iter().filter(kept).count() > 1, "{id}@{version} could have been copied");
        let is_it = |event: &&mut Event| event.id == id && event.version == version;
        let event = self.events.iter_mut().find(is_it).expect("an event that is there");
        assert!(!event.in_legacy, "{event:?}");
        event.left_behind = true;
    }

    /// Raises the floor; months below it go, at once or to be restored.
    pub(crate) fn expire(&mut self, floor: Timestamp, place: Place) {
        let floor = self.floor.map_or(floor, |before| before.max(floor));
        self.floor = Some(floor);
        for event in &mut self.events {
            if event.place == Place::Attached && event.at < floor {
                event.place = place;
            }
        }
    }

    /// Brings back the detached months from this one on.
    pub(crate) fn restore_months(&mut self, month: Month) {
        for event in &mut self.events {
            if event.place == Place::Detached && Month::of(event.at) >= month {
                event.place = Place::Attached;
            }
        }
        self.floor = self.floor.map(|floor| floor.min(month.start()));
    }

    /// Those of the ids that an append of these events finds recorded. An id that was used again may be known twice: then
    /// the event in the months that the append names goes before, and the later one.
    pub(crate) fn known(
        &self,
        tables: Tables,
        window: (Timestamp, Option<(Month, Month)>),
        ids: &[Uuid],
    ) -> BTreeMap<Uuid, &Event> {
        let (since, months) = window;
        let in_months = |at: Timestamp| {
            months.is_some_and(|(first, last)| at < since && (first..=last).contains(&Month::of(at)))
        };
        let ids: BTreeSet<&Uuid> = ids.iter().collect();
        let knows = |event: &&Event| {
            let in_window = event.at >= since || in_months(event.at);
            let in_partitioned = event.place == Place::Attached && in_window;
            let is_known = match tables {
                Tables::Legacy => event.in_legacy,
                Tables::Both => event.in_legacy || in_partitioned,
                Tables::Partitioned => in_partitioned,
            };
            is_known && ids.contains(&event.id)
        };
        let is_named = |event: &Event| event.place == Place::Attached && in_months(event.at);
        let mut known: Vec<&Event> = self.events.iter().filter(knows).collect();
        known.sort_by_key(|event| (is_named(event), event.version));
        known.into_iter().map(|event| (event.id, event)).collect()
    }
}
