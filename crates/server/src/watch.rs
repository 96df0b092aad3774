use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use crate::gate::Pass;
use crate::service::Messages;
use crate::status::idle;

/// A streaming answer that ends when its client has taken nothing for so long. Answers are made when they are taken, so
/// such a client would hold its page, and its tenant's place, for ever; that in the process is the layer's to take back.
pub(crate) fn watched<T: Send + 'static>(
    messages: Messages<T>,
    open: Pass,
    idle_max: Duration,
) -> Messages<T> {
    let place =
        Arc::new(Mutex::new(Place { answer: Some((messages, open)), unasked_since: Some(Instant::now()) }));
    let watch = tokio::spawn(watch(Arc::clone(&place), idle_max));
    Box::pin(Watched { place, _watch: AbortOnDropHandle::new(watch) })
}

struct Watched<T> {
    place: Arc<Mutex<Place<T>>>,
    _watch: AbortOnDropHandle<()>,
}

struct Place<T> {
    /// None once it was given up.
    answer: Option<(Messages<T>, Pass)>,
    /// Since when the client has not asked for more than it has; none while it waits for an answer.
    unasked_since: Option<Instant>,
}

impl<T> Stream for Watched<T> {
    type Item = Result<T, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T, Status>>> {
        let mut place = lock(&self.place);
        let Some((messages, _open)) = &mut place.answer else { return Poll::Ready(Some(Err(idle()))) };
        let next = messages.as_mut().poll_next(cx);
        // A client that waits for us is not idle.
        place.unasked_since = next.is_ready().then(Instant::now);
        next
    }
}

async fn watch<T>(place: Arc<Mutex<Place<T>>>, idle_max: Duration) {
    loop {
        let now = Instant::now();
        let due = lock(&place).unasked_since.unwrap_or(now) + idle_max;
        if due <= now {
            break;
        }
        sleep_until(due).await;
    }
    // Dropped outside of the lock.
    let given_up = lock(&place).answer.take();
    if given_up.is_some() {
        tracing::info!(idle_ms = idle_max.as_millis(), "streaming answer given up, its client takes nothing");
    }
}

fn lock<T>(place: &Mutex<Place<T>>) -> MutexGuard<'_, Place<T>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};
    use tonic::Code;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_is_given_up_and_one_that_is_taken_goes_on() {
        let idle_max = Duration::from_secs(60);
        let mut slow = watched(Box::pin(stream::iter((0..100).map(Ok))), Pass::default(), idle_max);
        for n in 0..10 {
            tokio::time::sleep(idle_max / 2).await;
            assert_eq!(slow.next().await.unwrap().unwrap(), n);
        }
        tokio::time::sleep(idle_max * 2).await;
        assert_eq!(slow.next().await.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
    }
}
