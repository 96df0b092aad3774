use std::sync::Arc;

use clap::Args;
use partita_proto::v1::event_store_service_client::EventStoreServiceClient;
use partita_proto::v1::{Direction, ReadStreamRequest};
use serde::Serialize;
use tonic::Status;

use crate::client::{self, Channel, ServerArgs};
use crate::commands::bench::caller::Caller;
use crate::commands::bench::draft::Draft;
use crate::commands::bench::stream::{self, BenchStream};
use crate::commands::bench::{LoadArgs, bounded, load, report};
use crate::failure::Failure;
use crate::output::Format;

/// Longest name of a launch, in bytes.
const LAUNCH_BYTES_MAX: usize = 64;

/// Read whole streams, and measure it.
///
/// WARNING: it appends what it reads, and the events stay. They are immutable, and no command takes them back: use a
/// scratch database. They are in tenants `bench-0`, `bench-1`, …, in streams of type `bench`.
///
/// With `--launch` the streams have a name, and a later launch of the same name reads them again without appending: what
/// became of the database in between is what is measured.
///
/// A call reads one stream, drawn by lot, from its first event to its last. Exit code 3 when any call failed.
#[derive(Debug, Args)]
pub(super) struct BenchReadArgs {
    #[command(flatten)]
    load: LoadArgs,
    /// Events of a stream
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = bounded(1, 10_000_000))]
    events: u32,
    /// Name of the streams, which are read as they are where an earlier launch filled them; new ones without it
    #[arg(long, value_name = "NAME", value_parser = launch_name)]
    launch: Option<String>,
}

/// A part of an aggregate id.
fn launch_name(text: &str) -> Result<String, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=LAUNCH_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_name) {
        return Ok(text.to_owned());
    }
    Err(format!("must be 1 to {LAUNCH_BYTES_MAX} letters of ASCII, digits, - or _"))
}

/// The settings, as the JSON document repeats them.
#[derive(Debug, Serialize)]
struct Settings {
    clients: u32,
    streams: u32,
    events: u32,
    payload_bytes: u32,
    tenants: u32,
    duration_seconds: u32,
    warm_up_seconds: u32,
    runs: u32,
}

/// Prepares the streams, measures, reports.
pub(super) async fn run(args: BenchReadArgs, server: &ServerArgs, format: Format) -> Result<(), Failure> {
    let settings = settings(&args);
    let BenchReadArgs { load, events, launch } = args;
    let channels = load.connect(server).await?;
    report::tell(&format!("preparing {} streams of {events} events", load.streams));
    let draft = Draft::new(load.payload_bytes, true, false);
    let mut streams = stream::plan(launch.as_deref(), load.streams, load.tenants);
    if launch.is_some() {
        stream::look(&mut streams, &channels).await?;
    }
    let streams: Arc<[_]> = stream::prepare(streams, &channels, &draft, events).await?.into();
    let clients = channels.iter().cycle().map(|channel| client::events(channel.clone()));
    let callers =
        clients.take(load.clients as usize).map(|client| Reader { client, streams: streams.clone() });
    let runs = load::measure(callers.collect(), load.schedule()).await?;
    report::print("reads", &settings, channels.len(), &runs, format)
}

fn settings(args: &BenchReadArgs) -> Settings {
    let load = &args.load;
    Settings {
        clients: load.clients,
        streams: load.streams,
        events: args.events,
        payload_bytes: load.payload_bytes,
        tenants: load.tenants.min(load.streams),
        duration_seconds: load.duration,
        warm_up_seconds: load.warm_up,
        runs: load.runs,
    }
}

/// Reads one stream after the other.
struct Reader {
    client: EventStoreServiceClient<Channel>,
    streams: Arc<[BenchStream]>,
}

impl Caller for Reader {
    async fn call(&mut self) -> Result<u64, Status> {
        let turn = rand::random_range(0..self.streams.len());
        let stream = self.streams.get(turn).ok_or_else(|| Status::internal("no stream was prepared"))?;
        let mut batches = self.client.read_stream(whole(stream)).await?.into_inner();
        let mut events = 0;
        while let Some(batch) = batches.message().await? {
            events += batch.events.len() as u64;
        }
        // A load generator that counts what it did not get measures nothing.
        if events != u64::from(stream.version.unsigned_abs()) {
            return Err(Status::data_loss(format!("read {events} of {} events", stream.version)));
        }
        Ok(events)
    }
}

fn whole(stream: &BenchStream) -> ReadStreamRequest {
    ReadStreamRequest {
        tenant_id: stream.tenant_id.clone(),
        aggregate_type: stream.aggregate_type().to_owned(),
        aggregate_id: stream.aggregate_id.clone(),
        direction: Direction::Forwards.into(),
        ..ReadStreamRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: BenchReadArgs,
    }

    #[test]
    fn one_stream_has_one_tenant_and_may_have_many_readers() {
        let line = Line::try_parse_from(["bench", "--streams", "1", "--clients", "8", "--events", "200000"]);
        let Settings { clients, streams, events, tenants, .. } = settings(&line.unwrap().args);
        assert_eq!((clients, streams, events, tenants), (8, 1, 200_000, 1));
        assert!(Line::try_parse_from(["bench", "--events", "0"]).is_err());
        assert!(Line::try_parse_from(["bench", "--launch", "half-way_2"]).is_ok());
        for name in ["", "a b", "é", "x/1"] {
            assert!(Line::try_parse_from(["bench", "--launch", name]).is_err(), "{name}");
        }
    }
}
