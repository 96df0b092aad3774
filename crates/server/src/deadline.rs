use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Extensions, HeaderMap, Request, Response};
use tower::{Layer, Service};

use crate::status::{append_overdue, overdue};

/// The header in which a client sends the time that it will wait.
const TIMEOUT_HEADER: &str = "grpc-timeout";
/// Most digits of the header's number (gRPC over HTTP/2, "Timeout").
const TIMEOUT_DIGITS_MAX: usize = 8;

/// When the caller of this call stops waiting.
#[derive(Debug, Clone)]
pub(crate) struct CallDeadline {
    at: Instant,
    append_handed_over: Arc<AtomicBool>,
}

impl CallDeadline {
    /// The deadline of a call, if its client set one.
    pub(crate) fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Self>().cloned()
    }

    /// The instant at which the caller stops waiting.
    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    /// Notes that the store has the append: from now on the deadline does not mean "not applied".
    pub(crate) fn append_handed_over(&self) {
        self.append_handed_over.store(true, Ordering::Relaxed);
    }

    fn missed(&self) -> Status {
        if self.append_handed_over.load(Ordering::Relaxed) { append_overdue() } else { overdue() }
    }
}

/// Gives each call its [`CallDeadline`], and answers in its place once that has passed.
///
/// tonic drops an overdue call as well, but answers `CANCELLED`, keeps the deadline to itself and lets no layer
/// run outside of its own. This one counts from an instant before tonic's and is asked first, so it always wins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeadlineLayer;

impl<S> Layer<S> for DeadlineLayer {
    type Service = DeadlineService<S>;

    fn layer(&self, inner: S) -> DeadlineService<S> {
        DeadlineService { inner }
    }
}

/// The service that [`DeadlineLayer`] makes.
#[derive(Debug, Clone)]
pub(crate) struct DeadlineService<S> {
    inner: S,
}

impl<S> Service<Request<Body>> for DeadlineService<S>
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
        let at = timeout(request.headers()).and_then(|timeout| Instant::now().checked_add(timeout));
        let Some(at) = at else {
            return Box::pin(self.inner.call(request));
        };
        let deadline = CallDeadline { at, append_handed_over: Arc::default() };
        request.extensions_mut().insert(deadline.clone());
        let answer = self.inner.call(request);
        Box::pin(async move {
            // Timers have milliseconds: a call could be over before one that was due at once.
            if Instant::now() >= at {
                return Ok(deadline.missed().into_http());
            }
            tokio::select! {
                // An answer that is ready is the better one: it knows what was applied.
                biased;
                answer = answer => answer,
                () = tokio::time::sleep_until(at) => Ok(deadline.missed().into_http()),
            }
        })
    }
}

/// The time that the client allows; none where it sends no header, or one that means nothing.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT_HEADER)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > TIMEOUT_DIGITS_MAX || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 60 * 60)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tonic::Code;
    use tonic_types::StatusExt;

    use super::*;

    fn parse(text: &str) -> Option<Duration> {
        timeout(&HeaderMap::from_iter([(TIMEOUT_HEADER.parse().unwrap(), text.parse().unwrap())]))
    }

    #[test]
    fn the_header_is_read_as_grpc_defines_it() {
        assert_eq!(parse("2H"), Some(Duration::from_secs(7_200)));
        assert_eq!(parse("1n"), Some(Duration::from_nanos(1)));
        assert_eq!(parse("99999999m"), Some(Duration::from_millis(99_999_999)));
        for meaningless in ["", "S", "100000000S", "1s", "-1S", "+1S", "1.5S"] {
            assert_eq!(parse(meaningless), None, "{meaningless}");
        }
    }

    async fn overdue(timeout: &str, append_handed_over: bool) -> Status {
        let never = tower::service_fn(move |request: Request<Body>| async move {
            let deadline = CallDeadline::of(request.extensions()).unwrap();
            if append_handed_over {
                deadline.append_handed_over();
            }
            std::future::pending::<Result<Response<Body>, Infallible>>().await
        });
        let request = Request::builder().header(TIMEOUT_HEADER, timeout).body(Body::empty()).unwrap();
        let response = DeadlineLayer.layer(never).call(request).await.unwrap();
        Status::from_header_map(response.headers()).unwrap()
    }

    #[tokio::test]
    async fn an_overdue_call_says_what_its_caller_may_assume() {
        // A call that is overdue as it comes is not begun.
        let cases = [
            ("500m", false, "DEADLINE_EXCEEDED"),
            ("500m", true, "OUTCOME_UNKNOWN"),
            ("1n", true, "DEADLINE_EXCEEDED"),
        ];
        for (timeout, handed_over, reason) in cases {
            let status = overdue(timeout, handed_over).await;
            assert_eq!(status.code(), Code::DeadlineExceeded);
            assert_eq!(status.get_details_error_info().unwrap().reason, reason);
        }
    }
}
