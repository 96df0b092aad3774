use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body as HttpBody, Frame, SizeHint};
use partita_store::metrics::{RPC_ACTIVE, RPC_DURATION};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::codegen::http::{Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::Span;

use super::method;
use crate::deadline::timeout;
use crate::status::too_long;
use crate::trace::{CallTrace, note_end};

/// Measures every call, to its last message, and notes its trace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FiguresLayer;

impl<S> Layer<S> for FiguresLayer {
    type Service = FiguresService<S>;

    fn layer(&self, inner: S) -> FiguresService<S> {
        FiguresService { inner }
    }
}

/// The service that [`FiguresLayer`] makes.
#[derive(Debug, Clone)]
pub(crate) struct FiguresService<S> {
    inner: S,
}

impl<S> Service<Request<Body>> for FiguresService<S>
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

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let call = Call::begin(&request);
        let trace = CallTrace::of(request.headers());
        request.extensions_mut().insert(trace);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let (head, body) = answer.await?.into_parts();
            // An error without a message before it travels in the headers, and no body follows.
            if let Some(status) = Status::from_header_map(&head.headers) {
                call.end(status.code());
                // Only the transport says so without details.
                let unread = status.code() == Code::OutOfRange && status.details().is_empty();
                return Ok(if unread { too_long().into_http() } else { Response::from_parts(head, body) });
            }
            let body = Body::new(Measured { body, call: Some(call) });
            Ok(Response::from_parts(head, body))
        })
    }
}

/// A call that is open. Dropped before its end, it was given up.
struct Call {
    method: &'static str,
    begun: Instant,
    deadline: Option<Instant>,
    /// Its span, which ends with the call, not with the beginning of its answer.
    span: Span,
    ended: bool,
}

impl Call {
    fn begin(request: &Request<Body>) -> Self {
        let method = method::label(request.uri().path());
        RPC_ACTIVE.shift(1.0, [method]);
        let begun = Instant::now();
        let deadline = timeout(request.headers()).and_then(|timeout| begun.checked_add(timeout));
        Self { method, begun, deadline, span: Span::current(), ended: false }
    }

    fn end(mut self, code: Code) {
        self.note(code);
    }

    fn note(&mut self, code: Code) {
        self.ended = true;
        RPC_ACTIVE.shift(-1.0, [self.method]);
        note_end(&self.span, code);
        RPC_DURATION.observe(self.begun.elapsed().as_secs_f64(), [self.method, number(code)]);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.ended {
            let late = self.deadline.is_some_and(|at| at <= Instant::now());
            self.note(if late { Code::DeadlineExceeded } else { Code::Cancelled });
        }
    }
}

/// An answer's body that ends its call.
struct Measured {
    body: Body,
    call: Option<Call>,
}

impl Measured {
    fn end(&mut self, code: Code) {
        if let Some(call) = self.call.take() {
            call.end(code);
        }
    }
}

impl HttpBody for Measured {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    let status = Status::from_header_map(trailers);
                    self.end(status.map_or(Code::Unknown, |status| status.code()));
                }
            }
            Some(Err(status)) => {
                let code = status.code();
                self.end(code);
            }
            None => self.end(Code::Unknown),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// gRPC's number of a code, as a label.
fn number(code: Code) -> &'static str {
    const NUMBERS: [&str; 17] =
        ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"];
    usize::try_from(i32::from(code)).ok().and_then(|code| NUMBERS.get(code)).copied().unwrap_or("2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_labelled_by_its_number() {
        let codes = [Code::Ok, Code::DeadlineExceeded, Code::Unauthenticated];
        assert_eq!(codes.map(number), ["0", "4", "16"]);
    }
}
