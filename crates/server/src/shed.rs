use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body as HttpBody, Frame, SizeHint};
use partita_store::StoreError;
use partita_store::metrics::SHED;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

use crate::limits::SHED_RETRY_AFTER;
use crate::status::refuse;

/// Turns calls away when as many are open as the process takes. Health is always answered: a probe that is turned away
/// would end a process for being busy.
#[derive(Debug, Clone)]
pub(crate) struct ShedLayer(Arc<Room>);

impl ShedLayer {
    /// `idle_max`: how long a client may take nothing of its answer before the place of its call is another's.
    pub(crate) fn new(calls_max: usize, idle_max: Duration) -> Self {
        let seats = Arc::new(Semaphore::new(calls_max.min(Semaphore::MAX_PERMITS)));
        Self(Arc::new(Room { seats, idle_max, open: Mutex::default() }))
    }
}

/// The calls that are open.
#[derive(Debug)]
struct Room {
    seats: Arc<Semaphore>,
    idle_max: Duration,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    calls: HashMap<u64, Arc<Mutex<Place>>>,
    /// The number of the last one.
    last: u64,
    /// When places were last looked through for those that can be taken back.
    looked: Option<Instant>,
}

/// The place of a call.
#[derive(Debug)]
struct Place {
    /// None once it was taken back.
    permit: Option<OwnedSemaphorePermit>,
    /// Since when the transport has not asked for more of the answer: its client has no room for what there is.
    unasked_since: Option<Instant>,
}

impl Room {
    fn enter(self: &Arc<Self>) -> Option<Seat> {
        let permit = Arc::clone(&self.seats).try_acquire_owned().or_else(|_| {
            self.take_back();
            Arc::clone(&self.seats).try_acquire_owned()
        });
        let place = Arc::new(Mutex::new(Place { permit: Some(permit.ok()?), unasked_since: None }));
        let mut open = lock(&self.open);
        open.last += 1;
        let number = open.last;
        open.calls.insert(number, Arc::clone(&place));
        Some(Seat { room: Arc::clone(self), number, place })
    }

    /// Takes back the places of answers that nobody takes. The transport keeps such an answer for as long as its connection
    /// lives, and nothing of ours is asked meanwhile: it is found when its place is needed.
    fn take_back(&self) {
        let now = Instant::now();
        let mut open = lock(&self.open);
        if open.looked.is_some_and(|at| now.duration_since(at) < SHED_RETRY_AFTER) {
            return;
        }
        open.looked = Some(now);
        let mut taken = 0_u64;
        for place in open.calls.values() {
            let mut place = lock(place);
            let is_idle = place.unasked_since.is_some_and(|since| now.duration_since(since) >= self.idle_max);
            taken += u64::from(is_idle && place.permit.take().is_some());
        }
        if taken > 0 {
            tracing::info!(calls = taken, "places of answers taken back, their clients take nothing");
        }
    }
}

/// A call's place until it is dropped.
#[derive(Debug)]
struct Seat {
    room: Arc<Room>,
    number: u64,
    place: Arc<Mutex<Place>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.room.open).calls.remove(&self.number);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics in here half way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S> Layer<S> for ShedLayer {
    type Service = ShedService<S>;

    fn layer(&self, inner: S) -> ShedService<S> {
        ShedService { inner, room: Arc::clone(&self.0) }
    }
}

/// The service that [`ShedLayer`] makes.
#[derive(Debug, Clone)]
pub(crate) struct ShedService<S> {
    inner: S,
    room: Arc<Room>,
}

impl<S> Service<Request<Body>> for ShedService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.uri().path().starts_with("/grpc.health.v1.") {
            return Box::pin(self.inner.call(request));
        }
        let Some(seat) = self.room.enter() else {
            SHED.add(1, ["process"]);
            let status = refuse(&StoreError::Overloaded { retry_after: SHED_RETRY_AFTER });
            return Box::pin(async move { Ok(status.into_http()) });
        };
        let answer = self.inner.call(request);
        Box::pin(async move { Ok(answer.await?.map(|body| Body::new(Occupying { body, seat }))) })
    }
}

/// An answer's body that keeps its call's place until it is sent.
struct Occupying {
    body: Body,
    seat: Seat,
}

impl HttpBody for Occupying {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        // A client that waits for us is not idle.
        lock(&self.seat.place).unasked_since = frame.is_ready().then(Instant::now);
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
