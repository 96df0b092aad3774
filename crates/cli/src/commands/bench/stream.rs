use partita_proto::v1::event_store_service_client::EventStoreServiceClient;
use partita_proto::v1::{Direction, ReadStreamRequest};
use tokio::task::JoinSet;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::client::{self, Channel};
use crate::commands::bench::draft::Draft;
use crate::failure::Failure;

/// Appends under way while streams are prepared.
const PREPARING: usize = 32;
/// Most events of one append while streams are prepared.
const PREPARED_EVENTS_MAX: u32 = 200;

/// A stream of a load, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct BenchStream {
    pub(super) tenant_id: String,
    pub(super) aggregate_id: String,
    pub(super) version: i32,
}

impl BenchStream {
    /// The `number`th stream of a launch. Tenants are the same at every launch: each has partitions of its own.
    pub(super) fn new(launch: &str, number: u32, tenants: u32) -> Self {
        Self {
            tenant_id: format!("bench-{}", number % tenants),
            aggregate_id: format!("{launch}-{number}"),
            version: 0,
        }
    }

    pub(super) fn aggregate_type(&self) -> &'static str {
        "bench"
    }

    /// Appends so many events and remembers where the stream stands then.
    ///
    /// # Errors
    /// The server's answer. The stream is then a new one, unless it is certain that nothing was written.
    pub(super) async fn append(
        &mut self,
        client: &mut EventStoreServiceClient<Channel>,
        draft: &Draft,
        events: u32,
    ) -> Result<(), Status> {
        let answer = client.append(client::append_request(draft.request(self, events))).await;
        match answer {
            Ok(response) => {
                self.version = response.into_inner().last_version;
                Ok(())
            }
            Err(status) => {
                if status.code() != Code::ResourceExhausted {
                    self.renew();
                }
                Err(status)
            }
        }
    }

    /// Finds out where the stream stands; one that is not there stands at 0.
    async fn look(&mut self, client: &mut EventStoreServiceClient<Channel>) -> Result<(), Status> {
        let request = ReadStreamRequest {
            tenant_id: self.tenant_id.clone(),
            aggregate_type: self.aggregate_type().to_owned(),
            aggregate_id: self.aggregate_id.clone(),
            direction: Direction::Backwards.into(),
            max_count: 1,
            ..ReadStreamRequest::default()
        };
        let mut batches = match client.read_stream(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) if status.code() == Code::NotFound => return Ok(()),
            Err(status) => return Err(status),
        };
        loop {
            match batches.message().await {
                Ok(Some(batch)) => {
                    self.version = batch.stream_state.map_or(self.version, |state| state.version);
                }
                Ok(None) => return Ok(()),
                Err(status) if status.code() == Code::NotFound => return Ok(()),
                Err(status) => return Err(status),
            }
        }
    }

    /// One answer that was lost must not make a conflict of every later append.
    fn renew(&mut self) {
        self.aggregate_id = Uuid::new_v4().simple().to_string();
        self.version = 0;
    }
}

/// The streams of a launch; without a name their ids are nobody else's.
pub(super) fn plan(launch: Option<&str>, streams: u32, tenants: u32) -> Vec<BenchStream> {
    let launch = launch.map_or_else(|| Uuid::new_v4().simple().to_string(), str::to_owned);
    (0..streams).map(|number| BenchStream::new(&launch, number, tenants)).collect()
}

/// Asks where streams stand that an earlier launch may have filled.
pub(super) async fn look(streams: &mut [BenchStream], channels: &[Channel]) -> Result<(), Failure> {
    let clients = channels.iter().cycle().map(|channel| client::events(channel.clone()));
    for (stream, mut client) in streams.iter_mut().zip(clients) {
        stream
            .look(&mut client)
            .await
            .map_err(|status| client::failure("cannot look at the streams", status))?;
    }
    Ok(())
}

/// Brings each stream to at least this many events, so that what is measured later is the same for the first call and the
/// last.
pub(super) async fn prepare(
    streams: Vec<BenchStream>,
    channels: &[Channel],
    draft: &Draft,
    events: u32,
) -> Result<Vec<BenchStream>, Failure> {
    let mut groups: Vec<Vec<BenchStream>> = deal(streams, PREPARING);
    let mut tasks = JoinSet::new();
    for (channel, group) in channels.iter().cycle().zip(groups.drain(..)) {
        tasks.spawn(fill(group, client::events(channel.clone()), draft.clone(), events));
    }
    let mut ready = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        let filled = ended.map_err(|error| Failure::internal("a task ended early").because(error))?;
        ready.extend(filled.map_err(|status| client::failure("cannot prepare the streams", status))?);
    }
    Ok(ready)
}

/// Deals streams out as cards are dealt: to at most `hands`, each at least one where there are enough.
pub(super) fn deal(streams: Vec<BenchStream>, hands: usize) -> Vec<Vec<BenchStream>> {
    let mut dealt = vec![Vec::new(); hands];
    for (number, stream) in streams.into_iter().enumerate() {
        if let Some(hand) = dealt.get_mut(number % hands) {
            hand.push(stream);
        }
    }
    dealt
}

async fn fill(
    mut streams: Vec<BenchStream>,
    mut client: EventStoreServiceClient<Channel>,
    draft: Draft,
    events: u32,
) -> Result<Vec<BenchStream>, Status> {
    for stream in &mut streams {
        let mut left = events.saturating_sub(stream.version.unsigned_abs());
        while left > 0 {
            let part = left.min(PREPARED_EVENTS_MAX).min(draft.events_max());
            stream.append(&mut client, &draft, part).await?;
            left -= part;
        }
    }
    Ok(streams)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_spread_over_tenants_and_dealt_to_one_client_each() {
        let streams = plan(None, 7, 3);
        let tenants: Vec<_> = streams.iter().map(|stream| stream.tenant_id.as_str()).collect();
        assert_eq!(tenants, ["bench-0", "bench-1", "bench-2", "bench-0", "bench-1", "bench-2", "bench-0"]);
        let sizes: Vec<_> = deal(streams, 3).iter().map(Vec::len).collect();
        assert_eq!(sizes, [3, 2, 2]);
    }

    #[test]
    fn two_launches_share_tenants_and_no_stream() {
        let (first, second) = (plan(None, 1, 10), plan(None, 1, 10));
        assert_eq!(first[0].tenant_id, second[0].tenant_id);
        assert_ne!(first[0].aggregate_id, second[0].aggregate_id);
        let named = |name| plan(Some(name), 2, 1)[1].aggregate_id.clone();
        assert_eq!((named("half"), named("whole")), ("half-1".to_owned(), "whole-1".to_owned()));
    }
}
