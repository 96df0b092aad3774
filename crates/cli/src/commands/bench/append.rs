use clap::{Args, ValueEnum};
use partita_model::limits::APPEND_BYTES_MAX;
use partita_proto::v1::event_store_service_client::EventStoreServiceClient;
use serde::Serialize;
use tonic::Status;

use crate::client::{self, Channel, ServerArgs};
use crate::commands::bench::caller::Caller;
use crate::commands::bench::draft::Draft;
use crate::commands::bench::stream::{self, BenchStream};
use crate::commands::bench::{LoadArgs, bounded, load, report};
use crate::failure::Failure;
use crate::output::Format;

/// Append to many streams, and measure it.
///
/// WARNING: the events stay. They are immutable, and no command takes them back: use a scratch database. They are in
/// tenants `bench-0`, `bench-1`, …, in streams of type `bench`.
///
/// Each stream gets one event first, unmeasured. Exit code 3 when any call failed.
#[derive(Debug, Args)]
pub(super) struct BenchAppendArgs {
    #[command(flatten)]
    load: LoadArgs,
    /// Events of an append
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = bounded(1, 1_000))]
    events: u32,
    /// What an append expects of its stream
    #[arg(long, value_enum, default_value = "exact")]
    expected: ExpectedMode,
    /// Give each event an id, as a client does that may have to repeat an append
    #[arg(long)]
    with_ids: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum ExpectedMode {
    /// Nothing
    Any,
    /// The version that the client read in the last answer
    Exact,
}

/// The settings, as the JSON document repeats them.
#[derive(Debug, Serialize)]
struct Settings {
    clients: u32,
    events: u32,
    payload_bytes: u32,
    tenants: u32,
    streams: u32,
    expected: ExpectedMode,
    with_ids: bool,
    duration_seconds: u32,
    warm_up_seconds: u32,
    runs: u32,
}

/// Prepares the streams, measures, reports.
pub(super) async fn run(args: BenchAppendArgs, server: &ServerArgs, format: Format) -> Result<(), Failure> {
    check(&args)?;
    let settings = settings(&args);
    let BenchAppendArgs { load, events, expected, with_ids } = args;
    let channels = load.connect(server).await?;
    let draft = Draft::new(load.payload_bytes, expected == ExpectedMode::Exact, with_ids);
    report::tell(&format!("preparing {} streams", load.streams));
    let streams = stream::plan(None, load.streams, load.tenants);
    let streams = stream::prepare(streams, &channels, &draft, 1).await?;
    let hands = stream::deal(streams, load.clients as usize).into_iter();
    let clients = channels.iter().cycle().map(|channel| client::events(channel.clone()));
    let callers = hands.zip(clients).map(|(streams, client)| Appender {
        client,
        draft: draft.clone(),
        streams,
        next: 0,
        events,
    });
    let runs = load::measure(callers.collect(), load.schedule()).await?;
    report::print("appends", &settings, channels.len(), &runs, format)
}

fn check(args: &BenchAppendArgs) -> Result<(), Failure> {
    let LoadArgs { clients, streams, payload_bytes, .. } = args.load;
    if streams < clients {
        let failure = Failure::usage(format!("{streams} streams are too few for {clients} clients"));
        return Err(failure.next("each client writes streams of its own: raise --streams or lower --clients"));
    }
    let bytes = u64::from(payload_bytes) * u64::from(args.events);
    if bytes > APPEND_BYTES_MAX as u64 {
        let failure = Failure::usage(format!("an append of {bytes} bytes is too large"));
        return Err(failure.next(format!("--events times --payload-bytes may be {APPEND_BYTES_MAX}")));
    }
    Ok(())
}

fn settings(args: &BenchAppendArgs) -> Settings {
    let load = &args.load;
    Settings {
        clients: load.clients,
        events: args.events,
        payload_bytes: load.payload_bytes,
        tenants: load.tenants.min(load.streams),
        streams: load.streams,
        expected: args.expected,
        with_ids: args.with_ids,
        duration_seconds: load.duration,
        warm_up_seconds: load.warm_up,
        runs: load.runs,
    }
}

/// Appends to its streams in turn.
struct Appender {
    client: EventStoreServiceClient<Channel>,
    draft: Draft,
    streams: Vec<BenchStream>,
    next: usize,
    events: u32,
}

impl Caller for Appender {
    async fn call(&mut self) -> Result<u64, Status> {
        let turn = self.next % self.streams.len();
        self.next = turn + 1;
        let stream =
            self.streams.get_mut(turn).ok_or_else(|| Status::internal("a client without a stream"))?;
        stream.append(&mut self.client, &self.draft, self.events).await?;
        Ok(self.events.into())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: BenchAppendArgs,
    }

    fn parse(flags: &[&str]) -> Result<BenchAppendArgs, clap::Error> {
        Line::try_parse_from([&["bench"], flags].concat()).map(|line| line.args)
    }

    #[test]
    fn the_defaults_are_one_event_and_exact_versions() {
        let settings = settings(&parse(&[]).unwrap());
        let Settings { clients, events, payload_bytes, tenants, streams, expected, with_ids, .. } = settings;
        assert_eq!((clients, events, payload_bytes, tenants, streams), (64, 1, 300, 10, 1_000));
        assert_eq!((expected, with_ids), (ExpectedMode::Exact, false));
    }

    #[test]
    fn what_cannot_be_measured_is_refused_before_anything_is_written() {
        for flags in [["--clients", "0"], ["--events", "1001"], ["--runs", "0"], ["--expected", "5"]] {
            assert!(parse(&flags).is_err(), "{flags:?}");
        }
        let few = check(&parse(&["--clients", "64", "--streams", "10"]).unwrap()).unwrap_err().text();
        assert!(few.contains("10 streams are too few for 64 clients"), "{few}");
        let large = check(&parse(&["--events", "1000", "--payload-bytes", "4000"]).unwrap());
        assert!(large.unwrap_err().text().contains("4000000 bytes"));
    }
}
