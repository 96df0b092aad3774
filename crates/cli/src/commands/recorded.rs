use clap::Args;
use partita_proto::v1::{AppendedEvent, EventResult, GetAppendResultRequest};
use serde::Serialize;

use crate::client::{self, ServerArgs};
use crate::failure::Failure;
use crate::output::{self, Format};

const TITLES: [&str; 7] = ["event_id", "recorded", "type", "id", "#version", "#position", "event_timestamp"];

/// Tell which events are recorded, by their ids: what became of an append whose answer was lost.
///
/// "Not recorded" is final only when no call with these ids is under way. To be certain, send the append again with the
/// same ids.
#[derive(Debug, Args)]
pub(crate) struct RecordedArgs {
    /// Owner of the events
    #[arg(long)]
    tenant: String,
    /// The ids that the events were sent with, 1 to 1,000
    #[arg(value_name = "EVENT_ID", required = true)]
    event_ids: Vec<String>,
}

/// One event, as `partita recorded -o json` prints it.
#[derive(Debug, Serialize)]
struct ResultDocument {
    event_id: String,
    recorded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    aggregate_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aggregate_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_timestamp: Option<String>,
}

/// Asks, and prints one row an id, in the order of the command line.
pub(crate) async fn run(args: RecordedArgs, server: &ServerArgs, format: Format) -> Result<(), Failure> {
    let request = GetAppendResultRequest { tenant_id: args.tenant, event_ids: args.event_ids };
    let mut client = client::events(client::connect(server).await?);
    let answer = client.get_append_result(request).await;
    let answer = answer.map_err(|status| client::failure("cannot look for the events", status))?.into_inner();
    let results: Vec<_> = answer.results.into_iter().map(ResultDocument::from).collect();
    match format {
        Format::Json => output::json(&results),
        Format::Table => output::table(&TITLES, results.into_iter().map(row).collect()),
    }
}

impl From<EventResult> for ResultDocument {
    fn from(result: EventResult) -> Self {
        let place = result.recorded;
        let event: Option<&AppendedEvent> = place.as_ref().and_then(|place| place.event.as_ref());
        Self {
            event_id: result.event_id,
            recorded: place.is_some(),
            version: event.map(|event| event.version),
            position: event.and_then(|event| event.position),
            event_timestamp: event.and_then(|event| client::from_wire(event.event_timestamp.as_ref())),
            aggregate_type: place.as_ref().map(|place| place.aggregate_type.clone()),
            aggregate_id: place.map(|place| place.aggregate_id),
        }
    }
}

fn row(result: ResultDocument) -> Vec<String> {
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    vec![
        result.event_id,
        if result.recorded { "yes" } else { "no" }.to_owned(),
        output::cell(&result.aggregate_type.unwrap_or_default()),
        output::cell(&result.aggregate_id.unwrap_or_default()),
        number(result.version.map(i64::from)),
        number(result.position),
        result.event_timestamp.unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use partita_proto::v1::EventPlace;

    use super::*;

    #[test]
    fn an_event_that_is_not_recorded_has_nothing_but_its_id() {
        let document = ResultDocument::from(EventResult { event_id: "x".to_owned(), recorded: None });
        assert_eq!(serde_json::to_string(&document).unwrap(), r#"{"event_id":"x","recorded":false}"#);
        assert_eq!(row(document), ["x", "no", "", "", "", "", ""]);
    }

    #[test]
    fn a_recorded_event_is_told_with_its_place() {
        let event = AppendedEvent { version: 3, position: Some(7), ..AppendedEvent::default() };
        let (aggregate_type, aggregate_id) = ("order".to_owned(), "42".to_owned());
        let recorded = Some(EventPlace { aggregate_type, aggregate_id, event: Some(event) });
        let document = ResultDocument::from(EventResult { event_id: "x".to_owned(), recorded });
        assert_eq!(row(document), ["x", "yes", "order", "42", "3", "7", ""]);
    }
}
