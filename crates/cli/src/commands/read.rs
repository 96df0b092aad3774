use clap::Args;
use partita_model::Timestamp;
use partita_proto::v1::{Direction, ReadStreamRequest, RecordedEvent, StreamState};

use crate::client::{self, ServerArgs};
use crate::document::EventDocument;
use crate::failure::Failure;
use crate::output::{self, Format};

const TITLES: [&str; 6] = ["#version", "#position", "event_timestamp", "event_type", "user_id", "data"];

/// Read a stream.
#[derive(Debug, Args)]
pub(crate) struct ReadArgs {
    /// Owner of the stream
    #[arg(long)]
    tenant: String,
    /// Kind of aggregate, such as `order`
    #[arg(long = "type", value_name = "TYPE")]
    aggregate_type: String,
    /// Which aggregate of that kind
    #[arg(long = "id", value_name = "ID")]
    aggregate_id: String,
    /// The version to begin at; 0: the first, or backwards the last
    #[arg(long, value_name = "VERSION", default_value_t = 0)]
    from: i32,
    /// From the newest event to the oldest
    #[arg(long)]
    backwards: bool,
    /// The most events to read; 0: no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    limit: i64,
    /// Only events that happened at this time or later: RFC 3339, in any time zone
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    from_time: Option<Timestamp>,
    /// Only events that happened before this time
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    to_time: Option<Timestamp>,
}

/// Prints events as they come: JSON a line each, tables one a batch of the server.
pub(crate) async fn run(args: ReadArgs, server: &ServerArgs, format: Format) -> Result<(), Failure> {
    let what = format!("cannot read {}/{}", args.aggregate_type, args.aggregate_id);
    let channel = client::connect(server).await?;
    let answer = client::events(channel).read_stream(request(args)).await;
    let mut batches = answer.map_err(|status| client::failure(&what, status))?.into_inner();
    let mut state = None;
    while let Some(batch) = batches.message().await.map_err(|status| client::failure(&what, status))? {
        state = batch.stream_state.or(state);
        match format {
            Format::Json => batch.events.into_iter().try_for_each(print_line)?,
            Format::Table if batch.events.is_empty() => {}
            Format::Table => output::table(&TITLES, batch.events.iter().map(row).collect())?,
        }
    }
    let Some(state) = state else {
        let failure = Failure::internal("the server's answer was cut short");
        return Err(failure.next("read on from the version after the last one printed, with --from"));
    };
    match format {
        Format::Table => output::line(&standing(state)),
        Format::Json => Ok(()),
    }
}

fn print_line(event: RecordedEvent) -> Result<(), Failure> {
    output::json(&EventDocument::new(event)?)
}

fn request(args: ReadArgs) -> ReadStreamRequest {
    let direction = if args.backwards { Direction::Backwards } else { Direction::Forwards };
    ReadStreamRequest {
        tenant_id: args.tenant,
        aggregate_type: args.aggregate_type,
        aggregate_id: args.aggregate_id,
        from_version: args.from,
        direction: direction.into(),
        max_count: args.limit,
        from_timestamp: args.from_time.map(client::to_wire),
        to_timestamp: args.to_time.map(client::to_wire),
    }
}

/// An event whose position is empty is in the legacy table only.
fn row(event: &RecordedEvent) -> Vec<String> {
    let user = event.context.as_ref().map(|context| output::cell(&context.user_id));
    vec![
        event.version.to_string(),
        event.position.map(|position| position.to_string()).unwrap_or_default(),
        client::from_wire(event.event_timestamp.as_ref()).unwrap_or_default(),
        output::cell(&event.event_type),
        user.unwrap_or_default(),
        output::cell(&event.data),
    ]
}

fn standing(state: StreamState) -> String {
    let StreamState { version, first_version } = state;
    if first_version > version {
        return format!("the stream is at version {version}; all of its events have expired");
    }
    format!("the stream is at version {version}, its events begin at version {first_version}")
}
