//! The history and the tables, indexed for each other.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use partita_model::{TenantId, Timestamp, Uuid, Version};

use super::Tables;
use crate::contents::{Contents, Row};
use crate::history::{AppendAnswer, AppendDeed, Call, History, Part, Place, SentEvent, StreamKey};

/// All attempts at one append, in the order in which they began.
pub(super) struct Effort<'a> {
    pub attempts: Vec<(&'a Call, &'a AppendDeed)>,
}

/// What is known of one event that was sent.
pub(super) struct Sent<'a> {
    pub key: StreamKey,
    pub event: &'a SentEvent,
}

pub(super) struct Ledger<'a> {
    pub calls: &'a [Call],
    pub contents: &'a Contents,
    pub tables: Tables,
    pub efforts: Vec<Effort<'a>>,
    /// The tenants that the history names.
    pub tenants: BTreeSet<&'a TenantId>,
    /// Every event that was sent, by its mark.
    pub sent: HashMap<&'a str, Sent<'a>>,
    /// The ids of events that were given a time by their callers.
    pub timed: HashSet<Uuid>,
    /// Every attempt, by its request id.
    pub attempts: HashMap<&'a str, (&'a Call, &'a AppendDeed)>,
    /// The stored events, each once; those of the tenants that the history names.
    pub rows: Vec<&'a Row>,
    /// The same by their marks.
    pub by_mark: HashMap<String, Vec<&'a Row>>,
    /// The same by their ids.
    pub by_id: HashMap<Uuid, &'a Row>,
    /// The same by stream, by version.
    pub by_stream: BTreeMap<&'a StreamKey, Vec<&'a Row>>,
    /// The partitioned table by id.
    pub partitioned: HashMap<Uuid, &'a Row>,
    /// What callers were told of events, by stream and version.
    pub told: HashMap<(StreamKey, Version), Place>,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(history: &'a History, contents: &'a Contents, tables: Tables) -> Self {
        let mut ledger = Self {
            calls: &history.calls,
            contents,
            tables,
            efforts: efforts(&history.calls),
            tenants: BTreeSet::new(),
            sent: HashMap::new(),
            timed: HashSet::new(),
            attempts: HashMap::new(),
            rows: Vec::new(),
            by_mark: HashMap::new(),
            by_id: HashMap::new(),
            by_stream: BTreeMap::new(),
            partitioned: contents.partitioned.iter().map(|row| (row.event_id, row)).collect(),
            told: HashMap::new(),
        };
        for call in &history.calls {
            if let Some(append) = call.append() {
                ledger.learn_attempt(call, append);
            }
        }
        ledger.learn_rows();
        ledger
    }

    fn learn_attempt(&mut self, call: &'a Call, append: &'a AppendDeed) {
        self.tenants.insert(&append.tenant);
        self.attempts.insert(&append.request_id, (call, append));
        for (part, event) in append.events() {
            let key = StreamKey { tenant: append.tenant.clone(), stream: part.stream.clone() };
            self.sent.entry(&event.mark).or_insert(Sent { key, event });
            self.timed.extend(event.event_id.filter(|_| event.event_timestamp.is_some()));
        }
        if let AppendAnswer::Recorded { events, .. } = &append.answer {
            for ((part, _), place) in append.events().zip(events) {
                let key = StreamKey { tenant: append.tenant.clone(), stream: part.stream.clone() };
                let told = self.told.entry((key, place.version)).or_insert(*place);
                told.position = told.position.or(place.position);
            }
        }
    }

    fn learn_rows(&mut self) {
        let contents = self.contents;
        let stored: Vec<&'a Row> = match self.tables {
            Tables::Legacy => contents.legacy.iter().collect(),
            Tables::Partitioned => contents.partitioned.iter().collect(),
            Tables::Dual | Tables::Equal | Tables::Restored => {
                let legacy: BTreeSet<Uuid> = contents.legacy.iter().map(|row| row.event_id).collect();
                let alone = contents.partitioned.iter().filter(|row| !legacy.contains(&row.event_id));
                contents.legacy.iter().chain(alone).collect()
            }
        };
        for row in stored {
            let mark = mark_of(&row.data).unwrap_or_default();
            // A tenant that nobody wrote to is none of the history's, unless an event of it strayed there.
            if !self.tenants.contains(&row.key.tenant) && !self.sent.contains_key(mark.as_str()) {
                continue;
            }
            self.rows.push(row);
            self.by_mark.entry(mark).or_default().push(row);
            self.by_id.insert(row.event_id, row);
            self.by_stream.entry(&row.key).or_default().push(row);
        }
        for rows in self.by_stream.values_mut() {
            rows.sort_by_key(|row| row.version);
        }
    }

    /// Whether an event of this time may be gone from what is looked at.
    pub(super) fn may_be_gone(&self, tenant: &TenantId, event_timestamp: Option<Timestamp>) -> bool {
        self.tables == Tables::Partitioned
            && event_timestamp.is_some_and(|at| self.contents.is_expired(tenant, at))
    }

    /// Whether ids of long ago may have been forgotten for a while: legacy was left behind, or still is (docs/errors.md).
    pub(super) fn forgets_ids(&self) -> bool {
        match self.tables {
            Tables::Partitioned | Tables::Restored => true,
            Tables::Legacy | Tables::Dual | Tables::Equal => false,
        }
    }

    /// The last version of a stream, by its events and its own record.
    pub(super) fn head(&self, key: &StreamKey) -> Version {
        let last = self.by_stream.get(key).and_then(|rows| rows.last()).map(|row| row.version);
        last.max(self.contents.heads.get(key).copied()).unwrap_or(Version::NONE)
    }
}

impl<'a> Effort<'a> {
    /// The append, which is the same in each attempt.
    pub(super) fn append(&self) -> Option<&'a AppendDeed> {
        self.attempts.first().map(|(_, append)| *append)
    }

    /// The attempts that were acknowledged.
    pub(super) fn acknowledged(&self) -> impl Iterator<Item = (&'a Call, &'a AppendDeed, &'a [Place], bool)> {
        self.attempts.iter().filter_map(|(call, append)| match &append.answer {
            AppendAnswer::Recorded { events, replayed } => Some((*call, *append, &events[..], *replayed)),
            AppendAnswer::Refused(_) | AppendAnswer::Unknown(_) => None,
        })
    }

    /// Whether some attempt may have recorded it.
    pub(super) fn may_be_recorded(&self) -> bool {
        self.attempts.iter().any(|(_, append)| !matches!(append.answer, AppendAnswer::Refused(_)))
    }

    /// What callers were told that an event was given.
    pub(super) fn told(&self, index: usize) -> Option<&'a Place> {
        self.acknowledged().find_map(|(_, _, places, _)| places.get(index))
    }
}

/// Attempts belong together when they share their parts, or at least what was in them.
fn efforts(calls: &[Call]) -> Vec<Effort<'_>> {
    let mut by_mark: BTreeMap<&str, Effort<'_>> = BTreeMap::new();
    for call in calls {
        let Some(append) = call.append() else { continue };
        let Some((_, first)) = append.events().next() else { continue };
        let effort = by_mark.entry(&first.mark).or_insert_with(|| Effort { attempts: Vec::new() });
        effort.attempts.push((call, append));
    }
    let mut efforts: Vec<Effort<'_>> = by_mark.into_values().collect();
    for effort in &mut efforts {
        effort.attempts.sort_by_key(|(call, _)| call.begun);
    }
    efforts
}

/// The mark of a stored event.
pub(crate) fn mark_of(data: &str) -> Option<String> {
    let document: serde_json::Value = serde_json::from_str(data).ok()?;
    document.get("mark")?.as_str().map(str::to_owned)
}

/// The stream of a part.
pub(super) fn key_of(append: &AppendDeed, part: &Part) -> StreamKey {
    StreamKey { tenant: append.tenant.clone(), stream: part.stream.clone() }
}
