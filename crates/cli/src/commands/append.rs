use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;
use partita_model::Timestamp;
use partita_proto::v1::expected_version::{Any, Expected, NoStream, StreamExists};
use partita_proto::v1::{AppendRequest, AppendResponse, ExpectedVersion, NewEvent};
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::client::{self, ContextArgs, ServerArgs};
use crate::document::AppendedDocument;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

/// Append events to a stream.
#[derive(Debug, Args)]
pub(crate) struct AppendArgs {
    /// Owner of the stream
    #[arg(long)]
    tenant: String,
    /// Kind of aggregate, such as `order`
    #[arg(long = "type", value_name = "TYPE")]
    aggregate_type: String,
    /// Which aggregate of that kind
    #[arg(long = "id", value_name = "ID")]
    aggregate_id: String,
    /// Where the stream must stand: any, no-stream, stream-exists or its version
    #[arg(long, value_parser = parse_expected)]
    expected: Expected,
    /// What happened, such as `OrderPlaced`
    #[arg(long, value_name = "TYPE", required_unless_present = "file", requires = "data")]
    event: Option<String>,
    /// What the event says: a JSON document
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// What is said about the event: a JSON document
    #[arg(long, value_name = "JSON", requires = "event")]
    metadata: Option<String>,
    /// The event's id, which makes a repetition safe; drawn where it is left out
    #[arg(long, value_name = "UUID", requires = "event")]
    event_id: Option<String>,
    /// When it happened: RFC 3339, in any time zone
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339, requires = "event")]
    time: Option<Timestamp>,
    /// Several events, a JSON object a line (event_type, data; metadata, event_id, event_timestamp); - is standard
    /// input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["event", "data"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    context: ContextArgs,
}

/// One line of `--file`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventLine {
    event_id: Option<String>,
    event_type: String,
    event_timestamp: Option<String>,
    data: Box<RawValue>,
    metadata: Option<Box<RawValue>>,
}

/// Appends all events at once, or none of them.
pub(crate) async fn run(args: AppendArgs, server: &ServerArgs, format: Format) -> Result<(), Failure> {
    let events = match &args.file {
        Some(path) => file_events(path)?,
        None => vec![flag_event(&args)],
    };
    let first_id = events.first().map(|event| event.event_id.clone()).filter(|_| events.len() == 1);
    let request = AppendRequest {
        tenant_id: args.tenant,
        aggregate_type: args.aggregate_type,
        aggregate_id: args.aggregate_id,
        expected_version: Some(ExpectedVersion { expected: Some(args.expected) }),
        events,
        context: Some(args.context.into()),
    };
    let channel = client::connect(server).await?;
    let response = client::events(channel).append(client::append_request(request)).await;
    let response = response.map_err(|status| {
        let failure = client::failure("append not confirmed", status);
        match first_id {
            // The id was drawn here: the user needs it to repeat the append safely.
            Some(id) if failure.exit() == Exit::Unreachable => {
                failure.next(format!("repeat it with --event-id {id}"))
            }
            Some(_) | None => failure,
        }
    })?;
    print(response.into_inner(), format)
}

fn print(response: AppendResponse, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return output::json(&AppendedDocument::from(response));
    }
    let note = if response.replayed { " (recorded earlier: nothing was written)" } else { "" };
    output::line(&format!("version {} to {}{note}", response.first_version, response.last_version))?;
    let rows = response.events.into_iter().map(|event| {
        let position = event.position.map(|position| position.to_string()).unwrap_or_default();
        let time = client::from_wire(event.event_timestamp.as_ref()).unwrap_or_default();
        vec![event.version.to_string(), position, time, event.event_id]
    });
    output::table(&["#version", "#position", "event_timestamp", "event_id"], rows.collect())
}

fn flag_event(args: &AppendArgs) -> NewEvent {
    NewEvent {
        event_id: args.event_id.clone().unwrap_or_else(|| Uuid::now_v7().to_string()),
        event_type: args.event.clone().unwrap_or_default(),
        data: args.data.clone().unwrap_or_default(),
        metadata: args.metadata.clone().unwrap_or_default(),
        event_timestamp: args.time.map(client::to_wire),
    }
}

fn file_events(path: &PathBuf) -> Result<Vec<NewEvent>, Failure> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().lock().read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| Failure::usage(format!("cannot read {}", path.display())).because(error))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(index, line)| line_event(index + 1, line)).collect()
}

fn line_event(number: usize, line: &str) -> Result<NewEvent, Failure> {
    let bad = |cause: String| Failure::refused(format!("line {number} is no event")).because(cause);
    let line: EventLine = serde_json::from_str(line).map_err(|error| bad(error.to_string()))?;
    let time = line.event_timestamp.map(|text| Timestamp::parse_rfc3339(&text)).transpose().map_err(bad)?;
    Ok(NewEvent {
        event_id: line.event_id.unwrap_or_else(|| Uuid::now_v7().to_string()),
        event_type: line.event_type,
        data: line.data.get().to_owned(),
        metadata: line.metadata.map(|metadata| metadata.get().to_owned()).unwrap_or_default(),
        event_timestamp: time.map(client::to_wire),
    })
}

fn parse_expected(text: &str) -> Result<Expected, String> {
    match text {
        "any" => Ok(Expected::Any(Any {})),
        "no-stream" => Ok(Expected::NoStream(NoStream {})),
        "stream-exists" => Ok(Expected::StreamExists(StreamExists {})),
        version => match version.parse::<i32>() {
            Ok(version) if version > 0 => Ok(Expected::Exact(version)),
            Ok(_) | Err(_) => Err("must be any, no-stream, stream-exists or a version from 1".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expectation_is_a_word_or_a_version() {
        assert_eq!(parse_expected("any"), Ok(Expected::Any(Any {})));
        assert_eq!(parse_expected("no-stream"), Ok(Expected::NoStream(NoStream {})));
        assert_eq!(parse_expected("7"), Ok(Expected::Exact(7)));
        assert!(["0", "-1", "", "2147483648", "No-Stream"].iter().all(|bad| parse_expected(bad).is_err()));
    }

    #[test]
    fn numbers_of_a_line_keep_their_text() {
        let event =
            line_event(1, r#"{"event_type":"E","data":{"n":1.10,"big":123456789012345678901}}"#).unwrap();
        assert_eq!(event.data, r#"{"n":1.10,"big":123456789012345678901}"#);
        let refused = line_event(4, r#"{"event_type":"E","data":1,"x":2}"#).unwrap_err().text();
        assert!(refused.contains("line 4") && refused.contains("unknown field `x`"), "{refused}");
    }
}
