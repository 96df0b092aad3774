use std::fmt;

use crate::audit::canonical_inet;
use crate::hash::is_partita_hash;
use crate::{HashInput, JsonDocument, RecordedEvent, TenantId, Version, event_hash};

/// Checks the hash chain of one stream, event by event in the order of their versions, from the stored rows alone. It must
/// begin with its first event, unless its beginning has expired: with a month, or in the legacy table by a purge.
#[derive(Debug)]
pub struct ChainCheck {
    tenant: TenantId,
    /// Version and hash of the last event, as the stream's own record names them.
    record: Option<(Version, String)>,
    previous: Option<(Version, String)>,
    /// Whether the chain may begin at any version.
    headless: bool,
    /// The version that may come next, whatever is missing before it.
    resumed: Option<Version>,
}

/// What a check found of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// The hash is the one that its columns give, and the link to the event before it holds.
    Verified,
    /// Another program made the hash: its columns cannot be checked, the link to the event before it holds.
    Foreign,
    /// The chain is broken here.
    Broken(ChainFault),
}

/// How a chain is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainFault {
    /// A column of the event is not what it was when it was hashed.
    Changed,
    /// The event before it is not the one that it was appended to.
    Unlinked,
    /// Events are missing before it: the version before is this one.
    Missing {
        /// The last version that is there; 0 for none.
        after: Version,
    },
    /// The version is there twice, or out of order.
    Repeated,
    /// The stream's own record names another last event: events are missing at its end, or the last was changed.
    WrongEnd,
}

impl ChainCheck {
    /// Begins before a stream's first event. `record` is the stream's own record of its last event, where it has one.
    pub fn new(tenant: TenantId, record: Option<(Version, String)>) -> Self {
        Self { tenant, record, previous: None, headless: false, resumed: None }
    }

    /// Whose stream it is.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Takes note that the beginning of the stream has expired.
    pub fn excuse_beginning(&mut self) {
        self.headless = true;
    }

    /// Takes note that whatever is missing right before this version has expired: nothing tells any more what it links to.
    pub fn excuse_before(&mut self, version: Version) {
        self.resumed = Some(version);
    }

    /// The version of the last event that was checked; 0 before the first.
    pub fn last(&self) -> Version {
        self.previous.as_ref().map_or(Version::NONE, |(version, _)| *version)
    }

    /// Checks the next event. A chain that another program began may begin at any version.
    pub fn next(&mut self, event: &RecordedEvent) -> Checked {
        let previous = self.previous.replace((event.version, event.event_hash.clone()));
        let ours = is_partita_hash(&event.event_hash);
        match previous {
            None if ours && !self.headless && event.version > Version::new(1) => {
                return Checked::Broken(ChainFault::Missing { after: Version::NONE });
            }
            None => {}
            Some((version, _)) if event.version <= version => return Checked::Broken(ChainFault::Repeated),
            Some(_) if self.resumed == Some(event.version) => {}
            Some((version, _)) if version.checked_add(1) != Some(event.version) => {
                return Checked::Broken(ChainFault::Missing { after: version });
            }
            // Other programs link as they like, but an event of ours names the one before it.
            Some((_, hash)) if ours && event.previous_event_hash.as_deref() != Some(&hash) => {
                return Checked::Broken(ChainFault::Unlinked);
            }
            Some(_) => {}
        }
        if ours && !is_intact(&self.tenant, event) {
            return Checked::Broken(ChainFault::Changed);
        }
        match &self.record {
            Some((version, hash)) if *version == event.version && *hash != event.event_hash => {
                Checked::Broken(ChainFault::WrongEnd)
            }
            Some(_) | None if ours => Checked::Verified,
            Some(_) | None => Checked::Foreign,
        }
    }

    /// Checks that the events went as far as the stream's own record. Those behind it are another process's, that does
    /// not keep the record.
    ///
    /// # Errors
    /// `WrongEnd`, with the version that the record names.
    pub fn end(&self) -> Result<(), (Version, ChainFault)> {
        match &self.record {
            Some((version, _)) if self.last() < *version => Err((*version, ChainFault::WrongEnd)),
            Some(_) | None => Ok(()),
        }
    }
}

/// Whether an event's own hash is the one that its columns give. An event that another program hashed never is.
pub fn is_intact(tenant: &TenantId, event: &RecordedEvent) -> bool {
    recompute(tenant, event).is_some_and(|hash| hash == event.event_hash)
}

/// The hash that the stored columns give; none when a document or an address is no longer one.
fn recompute(tenant: &TenantId, event: &RecordedEvent) -> Option<String> {
    let data = JsonDocument::parse(&event.data).ok()?;
    let metadata = event.metadata.as_deref().map(JsonDocument::parse).transpose().ok()?;
    let mut context = event.context.clone();
    // PostgreSQL writes some IPv6 addresses in another of their legal forms.
    context.ip_address = context.ip_address.as_deref().map(canonical_inet).transpose().ok()?;
    Some(event_hash(&HashInput {
        tenant,
        stream: &event.stream,
        version: event.version,
        event_id: event.event_id,
        event_type: &event.event_type,
        data: &data,
        metadata: metadata.as_ref(),
        context: &context,
        event_timestamp: event.event_timestamp,
        created_at: event.created_at,
        previous: event.previous_event_hash.as_deref(),
    }))
}

impl fmt::Display for ChainFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("a column was changed after the event was recorded"),
            Self::Unlinked => f.write_str("the event before it is not the one that it was appended to"),
            Self::Missing { after } => write!(f, "events are missing after version {after}"),
            Self::Repeated => f.write_str("its version is there twice, or out of order"),
            Self::WrongEnd => f.write_str("the stream's record names another last event"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AuditContext, StreamId, Timestamp};

    fn chain(length: i32) -> Vec<RecordedEvent> {
        let tenant = tenant();
        let at = Timestamp::from_unix(1_700_000_000, 0).unwrap();
        let mut previous: Option<String> = None;
        (1..=length)
            .map(|version| {
                let mut event = RecordedEvent {
                    event_id: uuid::Uuid::from_u128(u128::try_from(version).unwrap()),
                    event_type: "placed".to_owned(),
                    stream: StreamId::from_row("order".to_owned(), "42".to_owned()),
                    version: Version::new(version),
                    position: None,
                    data: r#"{"b": 1.50, "a": [1]}"#.to_owned(),
                    metadata: None,
                    context: AuditContext {
                        ip_address: Some("::1.2.3.4".to_owned()),
                        ..AuditContext::default()
                    },
                    event_timestamp: at,
                    created_at: at,
                    event_hash: String::new(),
                    previous_event_hash: previous.clone(),
                };
                event.event_hash = recompute(&tenant, &event).unwrap();
                previous = Some(event.event_hash.clone());
                event
            })
            .collect()
    }

    fn tenant() -> TenantId {
        TenantId::parse("acme").unwrap()
    }

    fn check(events: &[RecordedEvent]) -> Vec<Checked> {
        let mut check = ChainCheck::new(tenant(), None);
        events.iter().map(|event| check.next(event)).collect()
    }

    #[test]
    fn a_whole_chain_verifies_up_to_the_end_that_is_recorded() {
        let events = chain(3);
        let last =
            |version: i32, event: usize| Some((Version::new(version), events[event].event_hash.clone()));
        for (record, end) in [
            (None, Ok(())),
            (last(3, 2), Ok(())),
            (last(2, 1), Ok(())),
            (last(4, 2), Err((Version::new(4), ChainFault::WrongEnd))),
        ] {
            let mut check = ChainCheck::new(tenant(), record);
            assert!(events.iter().all(|event| check.next(event) == Checked::Verified));
            assert_eq!(check.end(), end);
        }
        let mut check = ChainCheck::new(tenant(), last(2, 0));
        let checked: Vec<_> = events.iter().map(|event| check.next(event)).collect();
        assert_eq!(checked[1], Checked::Broken(ChainFault::WrongEnd));
    }

    #[test]
    fn a_chain_whose_beginning_has_expired_verifies_from_where_it_begins() {
        let mut check = ChainCheck::new(tenant(), None);
        check.excuse_beginning();
        assert!(chain(4)[2..].iter().all(|event| check.next(event) == Checked::Verified));
        let mut check = ChainCheck::new(tenant(), None);
        check.excuse_beginning();
        let events = chain(4);
        assert_eq!(check.next(&events[1]), Checked::Verified);
        let after = Version::new(2);
        assert_eq!(check.next(&events[3]), Checked::Broken(ChainFault::Missing { after }));
    }

    #[test]
    fn a_gap_that_is_excused_is_no_fault_and_nothing_else_is_excused_by_it() {
        let events = chain(5);
        let mut check = ChainCheck::new(tenant(), None);
        assert_eq!(check.next(&events[0]), Checked::Verified);
        check.excuse_before(Version::new(3));
        assert_eq!(check.next(&events[2]), Checked::Verified);
        let after = Version::new(3);
        assert_eq!(check.next(&events[4]), Checked::Broken(ChainFault::Missing { after }));

        let mut changed = chain(3).remove(2);
        changed.data = "0".to_owned();
        let mut check = ChainCheck::new(tenant(), None);
        check.next(&events[0]);
        check.excuse_before(Version::new(3));
        assert_eq!(check.next(&changed), Checked::Broken(ChainFault::Changed));
    }

    #[test]
    fn a_stream_without_any_event_does_not_reach_its_record() {
        let check = ChainCheck::new(tenant(), Some((Version::new(1), "p1:x".to_owned())));
        assert_eq!(check.end(), Err((Version::new(1), ChainFault::WrongEnd)));
    }

    #[test]
    fn a_changed_column_a_missing_event_and_a_swap_are_found() {
        let mut changed = chain(3);
        changed[1].data = r#"{"b": 1.5, "a": [1]}"#.to_owned();
        assert_eq!(check(&changed)[1], Checked::Broken(ChainFault::Changed));

        let mut missing = chain(3);
        missing.remove(1);
        let after = Version::new(1);
        assert_eq!(check(&missing)[1], Checked::Broken(ChainFault::Missing { after }));
        let after = Version::NONE;
        assert_eq!(check(&missing[1..])[0], Checked::Broken(ChainFault::Missing { after }));

        let mut swapped = chain(3);
        swapped.swap(0, 1);
        for (event, version) in swapped.iter_mut().zip(1..) {
            event.version = Version::new(version);
        }
        assert!(check(&swapped).iter().all(|checked| matches!(checked, Checked::Broken(_))));
    }

    #[test]
    fn the_hash_of_another_program_is_marked_and_does_not_fail() {
        let mut events = chain(2);
        events[0].event_hash = "0".repeat(64);
        events[1].previous_event_hash = Some("0".repeat(64));
        events[1].event_hash = recompute(&tenant(), &events[1]).unwrap();
        assert_eq!(check(&events), [Checked::Foreign, Checked::Verified]);
    }
}
