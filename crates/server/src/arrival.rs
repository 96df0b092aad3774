//! What is on its way in: how much of it there may be, and for how long.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use http_body::{Body as HttpBody, Frame, SizeHint};
use partita_store::StoreError;
use partita_store::metrics::SHED;
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

use crate::limits::{MESSAGE_TIMEOUT, SHED_RETRY_AFTER};
use crate::ops::sends_many;
use crate::status::{late, refuse};

/// Bytes before each message (gRPC over HTTP/2, "Length-Prefixed-Message"): a flag, and how long it is.
const PREFIX_BYTES: usize = 5;

/// Bounds the messages that are not whole yet, over all calls, and the time that each of them takes. What is whole is
/// looked at, and then bounded by the lanes and by the pipelines; before that, nobody knows whose it is.
#[derive(Clone)]
pub(crate) struct ArrivalLayer(Arc<Room>);

struct Room {
    bytes_max: usize,
    bytes: AtomicUsize,
}

impl ArrivalLayer {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Room { bytes_max, bytes: AtomicUsize::new(0) }))
    }
}

impl<S> Layer<S> for ArrivalLayer {
    type Service = ArrivalService<S>;

    fn layer(&self, inner: S) -> ArrivalService<S> {
        ArrivalService { inner, room: Arc::clone(&self.0) }
    }
}

/// The service that [`ArrivalLayer`] makes.
#[derive(Clone)]
pub(crate) struct ArrivalService<S> {
    inner: S,
    room: Arc<Room>,
}

impl<S> Service<Request<Body>> for ArrivalService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let many = sends_many(request.uri().path());
        let room = Arc::clone(&self.room);
        self.inner.call(request.map(|body| Body::new(Arriving::new(body, room, many))))
    }
}

/// A call's messages as they come in.
struct Arriving {
    body: Body,
    room: Arc<Room>,
    /// What this call takes of the room.
    held: usize,
    messages: Messages,
    /// Whether the call has many messages: it may be silent between two of them for as long as it likes.
    many: bool,
    overdue: Option<Pin<Box<Sleep>>>,
}

impl Arriving {
    fn new(body: Body, room: Arc<Room>, many: bool) -> Self {
        Self { body, room, held: 0, messages: Messages::default(), many, overdue: None }
    }

    /// Counts what came in, where there is room for it.
    fn take_in(&mut self, data: &[u8]) -> Result<(), Status> {
        let is_one_whole = self.messages.take_in(data);
        if self.many && is_one_whole {
            self.overdue = None;
        }
        // One message alone is given on when the call's end is there, too.
        let held = if self.many { self.messages.arrived } else { self.held + data.len() };
        let before = std::mem::replace(&mut self.held, held);
        let taken = self.room.bytes.fetch_add(held, Ordering::Relaxed) + held;
        self.room.bytes.fetch_sub(before, Ordering::Relaxed);
        if taken - before > self.room.bytes_max && held > before {
            SHED.add(1, ["arriving"]);
            return Err(refuse(&StoreError::Overloaded { retry_after: SHED_RETRY_AFTER }));
        }
        Ok(())
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let taken = frame.data_ref().map_or(Ok(()), |data| self.take_in(data));
                Poll::Ready(Some(taken.map(|()| frame)))
            }
            Poll::Ready(end) => Poll::Ready(end),
            Poll::Pending if self.many && self.held == 0 => Poll::Pending,
            Poll::Pending => {
                let overdue = self.overdue.get_or_insert_with(|| Box::pin(sleep(MESSAGE_TIMEOUT)));
                overdue.as_mut().poll(cx).map(|()| Some(Err(late())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.room.bytes.fetch_sub(self.held, Ordering::Relaxed);
    }
}

/// Where a body stands among its messages.
#[derive(Default)]
struct Messages {
    /// Bytes that have arrived of a message that is not whole, with its prefix; 0 between two of them.
    arrived: usize,
    /// Length of that message, as far as its prefix says.
    length: usize,
}

impl Messages {
    /// Follows what comes in; says whether a message came to its end.
    fn take_in(&mut self, mut data: &[u8]) -> bool {
        let mut is_one_whole = false;
        while let Some((&first, rest)) = data.split_first() {
            if self.arrived < PREFIX_BYTES {
                // After the flag, four bytes of length, the greatest first.
                self.length = if self.arrived == 0 { 0 } else { self.length << 8 | usize::from(first) };
                self.arrived += 1;
                data = rest;
            } else {
                let taken = data.len().min(PREFIX_BYTES + self.length - self.arrived);
                self.arrived += taken;
                data = &data[taken..];
            }
            if self.arrived >= PREFIX_BYTES && self.arrived == PREFIX_BYTES + self.length {
                self.arrived = 0;
                is_one_whole = true;
            }
        }
        is_one_whole
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body::Frame;
    use tonic::Code;

    use super::*;

    const ONE: &str = "/partita.v1.EventStoreService/Append";
    const MANY: &str = "/partita.v1.EventStoreService/AppendPipeline";

    /// A body that gives these bytes, and then neither more nor an end.
    struct Stalled(Option<Bytes>);

    impl HttpBody for Stalled {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.take().map_or(Poll::Pending, |data| Poll::Ready(Some(Ok(Frame::data(data)))))
        }
    }

    fn message(bytes: u8) -> Vec<u8> {
        [vec![0, 0, 0, 0, bytes], vec![7; usize::from(bytes)]].concat()
    }

    /// The body of a call as its handler gets it.
    async fn arriving(layer: &ArrivalLayer, path: &str, data: Vec<u8>) -> Body {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let mut sender = Some(sender);
        let inner = tower::service_fn(move |request: Request<Body>| {
            drop(sender.take().map(|sender| sender.send(request.into_body())));
            std::future::ready(Ok::<_, Infallible>(Response::new(Body::empty())))
        });
        let body = Body::new(Stalled(Some(data.into())));
        let request = Request::builder().uri(path).body(body).unwrap();
        layer.layer(inner).call(request).await.unwrap();
        receiver.await.unwrap()
    }

    async fn next(body: &mut Body) -> Result<Frame<Bytes>, Code> {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
        frame.unwrap().map_err(|status| status.code())
    }

    #[test]
    fn what_has_arrived_of_a_message_is_known_however_it_is_cut() {
        let bytes = [message(0), message(3), message(200)].concat();
        for cut in 1..bytes.len() {
            let mut messages = Messages::default();
            for part in bytes.chunks(cut) {
                messages.take_in(part);
            }
            assert_eq!(messages.arrived, 0, "{cut}");
            assert!(messages.take_in(&bytes[..7]), "{cut}");
            assert_eq!(messages.arrived, 2, "{cut}");
            assert!(!messages.take_in(&bytes[7..9]), "{cut}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_never_ends_is_given_up_and_a_silent_pipeline_is_not() {
        let layer = ArrivalLayer::new(1_000);
        for (path, data) in [(ONE, Vec::new()), (ONE, message(9)), (MANY, message(9)[..8].to_vec())] {
            let mut body = arriving(&layer, path, data).await;
            next(&mut body).await.unwrap();
            assert_eq!(next(&mut body).await.unwrap_err(), Code::DeadlineExceeded, "{path}");
        }
        let mut silent = arriving(&layer, MANY, message(9)).await;
        next(&mut silent).await.unwrap();
        assert!(tokio::time::timeout(MESSAGE_TIMEOUT * 10, next(&mut silent)).await.is_err());
    }

    #[tokio::test]
    async fn messages_that_arrive_share_a_room_and_leave_it() {
        let layer = ArrivalLayer::new(250);
        let mut first = arriving(&layer, ONE, message(195)).await;
        next(&mut first).await.unwrap();
        let mut second = arriving(&layer, ONE, message(195)).await;
        assert_eq!(next(&mut second).await.unwrap_err(), Code::ResourceExhausted);
        drop(second);
        // Whole messages of many are the handler's as they come.
        let mut many = arriving(&layer, MANY, [message(250), message(20)].concat()).await;
        next(&mut many).await.unwrap();
        drop(first);
        let mut third = arriving(&layer, ONE, message(195)).await;
        next(&mut third).await.unwrap();
    }
}
