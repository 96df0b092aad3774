use std::collections::VecDeque;

use futures_util::stream;
use partita_migration::Shadow;
use partita_model::{Phase, ReadStream};
use partita_proto::v1;
use partita_store::{Store, StoreError, StreamReader};
use prost::Message;
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Response, Status};
use tracing::{Instrument, Span};

use crate::deadline::CallDeadline;
use crate::limits::{READ_MESSAGE_BYTES_MAX, READ_MESSAGE_EVENTS_MAX};
use crate::service::Messages;
use crate::status::{overdue, refuse};

/// Reads one stream: a page is read, its connection released, then it is sent in messages. The next page is read
/// when the client has taken the last one, so a slow reader holds one page and no database connection.
pub(crate) async fn read_stream(
    store: &Store,
    shadow: Option<&Shadow>,
    request: Request<v1::ReadStreamRequest>,
) -> Result<Response<Messages<v1::ReadStreamResponse>>, Status> {
    let deadline = CallDeadline::of(request.extensions()).map(|deadline| deadline.at());
    let read = ReadStream::try_from(request.into_inner())
        .map_err(|violations| refuse(&StoreError::Invalid(violations)))?;
    let span = Span::current();
    span.record("tenant", read.tenant.as_str());

    let reader = store.read_stream(read, deadline).await.map_err(|error| refuse(&error))?;
    let shadow = shadow.filter(|shadow| writes_both(store) && shadow.draw()).cloned();
    let answer = Answer { reader, deadline, page: VecDeque::new(), finished: false, shadow };
    // The span ends with the call's headers unless the messages carry it on.
    let messages = stream::try_unfold(answer, move |answer| answer.next().instrument(span.clone()));
    Ok(Response::new(Box::pin(messages)))
}

/// Whether both tables are to hold the same now, as far as this process knows.
fn writes_both(store: &Store) -> bool {
    match store.phase() {
        Ok(Phase::Dual | Phase::Fenced) => true,
        Ok(Phase::Legacy | Phase::Restoring | Phase::Finalized) | Err(_) => false,
    }
}

/// What is left of an answer.
struct Answer {
    reader: StreamReader,
    deadline: Option<Instant>,
    page: VecDeque<v1::RecordedEvent>,
    finished: bool,
    /// Told what was looked at, when the read is over.
    shadow: Option<Shadow>,
}

/// The read is over: it came to its end, failed, or its client went away.
impl Drop for Answer {
    fn drop(&mut self) {
        if let Some((shadow, range)) = self.shadow.take().zip(self.reader.looked_at()) {
            shadow.offer(range);
        }
    }
}

impl Answer {
    /// The next message and the rest; none when the last one, which says where the stream stands, was sent.
    async fn next(mut self) -> Result<Option<(v1::ReadStreamResponse, Self)>, Status> {
        if self.finished {
            return Ok(None);
        }
        // A page may be empty where all of its rows were left out; the end is told apart by there being none.
        while self.page.is_empty() {
            match self.next_page().await? {
                Some(page) => self.page = page,
                None => {
                    self.finished = true;
                    let stream_state = Some(self.reader.state().into());
                    return Ok(Some((v1::ReadStreamResponse { events: Vec::new(), stream_state }, self)));
                }
            }
        }
        let events = take_message(&mut self.page);
        Ok(Some((v1::ReadStreamResponse { events, stream_state: None }, self)))
    }

    async fn next_page(&mut self) -> Result<Option<VecDeque<v1::RecordedEvent>>, Status> {
        let page = self.reader.next_page();
        let page = match self.deadline {
            // The transport watches the deadline until an answer begins; from then on it is up to us.
            Some(at) => timeout_at(at, page).await.map_err(|_| overdue())?,
            None => page.await,
        };
        let page = page.map_err(|error| refuse(&error))?;
        Ok(page.map(|events| events.into_iter().map(v1::RecordedEvent::from).collect()))
    }
}

/// Takes what fits into one message off the front of a page, and one event at least.
fn take_message(page: &mut VecDeque<v1::RecordedEvent>) -> Vec<v1::RecordedEvent> {
    let mut events = Vec::new();
    let mut bytes = 0;
    while let Some(event) = page.front() {
        bytes += event.encoded_len();
        let full = events.len() == READ_MESSAGE_EVENTS_MAX || bytes > READ_MESSAGE_BYTES_MAX;
        if full && !events.is_empty() {
            break;
        }
        events.extend(page.pop_front());
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(events_bytes: &[usize]) -> Vec<usize> {
        let event = |bytes: &usize| v1::RecordedEvent { data: "x".repeat(*bytes), ..Default::default() };
        let mut page: VecDeque<_> = events_bytes.iter().map(event).collect();
        let mut sizes = Vec::new();
        while !page.is_empty() {
            sizes.push(take_message(&mut page).len());
        }
        sizes
    }

    #[test]
    fn a_page_is_cut_by_number_and_by_size() {
        assert_eq!(messages(&[10; 500]), [200, 200, 100]);
        assert_eq!(messages(&[400 * 1024; 5]), [2, 2, 1]);
    }

    #[test]
    fn an_event_larger_than_a_message_goes_alone() {
        assert_eq!(messages(&[10, 3 * 1024 * 1024, 10]), [1, 1, 1]);
        assert!(messages(&[]).is_empty());
    }
}
