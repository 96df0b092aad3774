//! Reads, with every option, and the search for ids.

use partita_model::Timestamp;
use partita_proto::convert::{timestamp_from_wire, timestamp_to_wire};
use partita_proto::v1::{GetAppendResultRequest, RecordedEvent};
use partita_tests::Refusal;
use uuid::Uuid;

use crate::appends::instant_of;
use crate::operation::{Process, STREAMS, TENANTS, When};
use crate::stage::{Stage, instant};
use crate::world::{Event, FOREIGN_USER, Place, Tables};

/// Direction, first version, most events, and the interval: its beginning, and its length in days.
type Options = (bool, i32, i64, Option<(When, i64)>);

impl Stage {
    pub(crate) async fn read(&mut self, process: Process, tenant: usize, stream: usize, options: Options) {
        let (backwards, from, most, between) = options;
        let between = between.and_then(|(when, days)| {
            let begin = instant(when)?;
            let end = Timestamp::from_datetime(begin.to_datetime() + time::Duration::days(days));
            Some((begin, end))
        });
        let call = self.server(process).read(TENANTS[tenant], "order", STREAMS[stream]).from_version(from);
        let call = call.max_count(most).with(|request| {
            request.from_timestamp = between.map(|(begin, _)| timestamp_to_wire(begin));
            request.to_timestamp = between.map(|(_, end)| timestamp_to_wire(end));
        });
        let call = if backwards { call.backwards() } else { call };
        let tables = self.tables_of_reads(process, tenant);
        let head = self.world.tenants[tenant].head(stream);
        if !self.serves(process) {
            return self.assert_contradiction(&call.refused().await);
        }
        if head == 0 {
            let refusal = call.refused().await;
            assert_eq!(refusal.reason, "STREAM_NOT_FOUND", "{}", self.doing());
            return;
        }
        let answer = call.ok().await;
        let visible = self.visible(tables, tenant, stream);
        let first = visible.iter().map(|(version, _)| *version).min().unwrap_or(head + 1);
        assert_eq!(answer.bounds(), (first, head), "{}", self.doing());

        let is_wanted = |(version, at): &&(i32, Timestamp)| {
            let in_direction = match (backwards, from) {
                (_, 0) => true,
                (true, from) => *version <= from,
                (false, from) => *version >= from,
            };
            in_direction && between.is_none_or(|(begin, end)| *at >= begin && *at < end)
        };
        let mut versions: Vec<i32> = visible.iter().filter(is_wanted).map(|(version, _)| *version).collect();
        versions.sort_unstable();
        if backwards {
            versions.reverse();
        }
        if most > 0 {
            versions.truncate(usize::try_from(most).unwrap());
        }
        assert_eq!(answer.versions(), versions, "{}", self.doing());
        for event in &answer.events {
            self.compare(process, tenant, stream, event);
        }
    }

    /// Versions and times of the events that a reader of these tables sees.
    fn visible(&self, tables: Tables, tenant: usize, stream: usize) -> Vec<(i32, Timestamp)> {
        let tenant = &self.world.tenants[tenant];
        let seen = tenant.of(stream).filter(|event| tenant.sees(event, tables));
        seen.map(|event| (event.version, event.at)).collect()
    }

    /// Holds an event that was read against what it should be. Its hash must stay what it was, and continue the one before.
    fn compare(&mut self, process: Process, tenant: usize, stream: usize, told: &RecordedEvent) {
        let doing = self.doing().to_owned();
        let events = &mut self.world.tenants[tenant].events;
        let is = |event: &Event, version: i32| event.stream == stream && event.version == version;
        let previous = events.iter().find(|event| is(event, told.version - 1));
        let is_foreign = events.iter().any(|event| is(event, told.version) && event.user == FOREIGN_USER);
        let previous = previous.filter(|_| !is_foreign);
        if let Some(hash) = previous.and_then(|event| event.hash.as_ref()) {
            assert_eq!(&told.previous_event_hash, hash, "the hash before: {doing}");
        }
        let event = events.iter_mut().find(|event| is(event, told.version)).expect("a version that is there");
        let is_it = |told: &RecordedEvent| {
            let user = told.context.as_ref().map(|context| context.user_id.as_str());
            let at = timestamp_from_wire(told.event_timestamp.unwrap()).unwrap();
            let id: Uuid = told.event_id.parse().unwrap();
            id == event.id
                && at == event.at
                && user == Some(&event.user)
                && (&told.event_type, &told.data, &told.metadata)
                    == (&event.event_type, &event.data, &event.metadata)
        };
        assert!(is_it(told), "{doing}: {told:?}, wanted {event:?}");
        let hash = event.hash.get_or_insert_with(|| told.event_hash.clone());
        assert_eq!(*hash, told.event_hash, "{doing}");
        let has_position = process != Process::FlagOff && event.place == Place::Attached;
        Self::compare_position(&doing, event, told.position, has_position);
    }

    /// Looks for ids of the tenant, and for one that nobody has.
    pub(crate) async fn find(&mut self, process: Process, tenant: usize, which: &[usize]) {
        let events = &self.world.tenants[tenant].events;
        let pick = |which: &usize| which.checked_rem(events.len()).map(|which| events[which].id);
        let mut ids: Vec<Uuid> = which.iter().filter_map(pick).collect();
        ids.push(Uuid::nil());
        let request = GetAppendResultRequest {
            tenant_id: TENANTS[tenant].to_owned(),
            event_ids: ids.iter().map(Uuid::to_string).collect(),
        };
        let answer = self.server(process).events().get_append_result(request).await;
        let results = match answer {
            Ok(answer) => answer.into_inner().results,
            Err(status) => {
                assert!(!self.serves(process), "{}: {status:?}", self.doing());
                return self.assert_contradiction(&Refusal::from(status));
            }
        };
        assert_eq!(results.len(), ids.len(), "{}", self.doing());
        // Once legacy is not whole the partitioned table is asked, whatever the time of the event, and then legacy.
        let tables = if self.world.phase.legacy_is_whole() { Tables::Legacy } else { Tables::Both };
        let doing = self.doing().to_owned();
        let events = &mut self.world.tenants[tenant].events;
        for (id, result) in ids.iter().zip(&results) {
            let is_known = |event: &&mut Event| {
                let is_partitioned = event.place == Place::Attached;
                let is_there = match tables {
                    Tables::Legacy => event.in_legacy,
                    Tables::Partitioned => is_partitioned,
                    Tables::Both => event.in_legacy || is_partitioned,
                };
                event.id == *id && is_there
            };
            // An id that was used again: what the partitioned table has, and of that the later one.
            let rank = |event: &&mut Event| {
                (tables == Tables::Both && event.place == Place::Attached, event.version)
            };
            let event = events.iter_mut().filter(is_known).max_by_key(rank);
            assert_eq!(result.recorded.is_some(), event.is_some(), "{doing}: {result:?}, wanted {event:?}");
            if let (Some(place), Some(event)) = (&result.recorded, event) {
                let told = place.event.as_ref().unwrap();
                assert_eq!(place.aggregate_id, STREAMS[event.stream], "{doing}");
                assert_eq!((told.version, instant_of(told)), (event.version, event.at), "{doing}");
                let has_position = process != Process::FlagOff && event.place == Place::Attached;
                Self::compare_position(&doing, event, told.position, has_position);
            }
        }
    }
}
