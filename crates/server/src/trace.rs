//! W3C trace context: a call's span belongs to its caller's trace, and the trace's id is kept with what is appended.

use opentelemetry::trace::{
    SpanContext, SpanId, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use partita_proto::v1::AuditContext;
use tonic::Code;
use tonic::codegen::http::{Extensions, HeaderMap, Request};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::ops::label;

/// The header of W3C Trace Context, level 1.
const TRACEPARENT: &str = "traceparent";

/// The span of a call. A handler adds the tenant once it has one; nothing else of a request belongs into a log.
pub(crate) fn span(request: &Request<()>) -> Span {
    let method = request.uri().path().trim_start_matches('/');
    let empty = tracing::field::Empty;
    let span = tracing::info_span!(
        "rpc",
        otel.kind = "server",
        rpc.method = method,
        tenant = empty,
        trace_id = empty
    );
    if let Some(parent) = parse(request.headers()) {
        span.record("trace_id", tracing::field::display(parent.trace_id()));
        // Refused only where spans are not traced at all.
        let _traced = span.set_parent(opentelemetry::Context::new().with_remote_span_context(parent));
    } else if let Some(own) = traced_id(&span) {
        span.record("trace_id", tracing::field::display(own));
    }
    // Under this name it is found among the traces; in the log it is the field.
    span.context().span().update_name(label(request.uri().path()));
    span.set_attribute("rpc.system.name", "grpc");
    span
}

/// Notes how a call ended, on its span. What its caller did wrong is no failure of this process (OpenTelemetry, "gRPC").
pub(crate) fn note_end(span: &Span, code: Code) {
    span.set_attribute("rpc.response.status_code", i64::from(i32::from(code)));
    match code {
        Code::Unknown
        | Code::DeadlineExceeded
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => span.set_status(Status::error(code.description())),
        Code::Ok
        | Code::Cancelled
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unauthenticated => {}
    }
}

/// The trace that a call belongs to: its caller's, else one of its own where traces are exported.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallTrace(Option<TraceId>);

impl CallTrace {
    /// The trace of the call with these headers, whose span is the current one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self(parse(headers).map(|parent| parent.trace_id()).or_else(|| traced_id(&Span::current())))
    }

    /// The trace that a layer has noted of a call.
    pub(crate) fn noted(extensions: &Extensions) -> Self {
        extensions.get::<Self>().copied().unwrap_or(Self(None))
    }

    /// Keeps the trace with the events of an append, as the correlation id of a caller that gives none: it is what ties
    /// together all that one operation caused. A caller's own is never touched.
    pub(crate) fn keep_in(self, context: Option<&mut AuditContext>) {
        if let (Some(trace), Some(context)) = (self.0, context)
            && context.correlation_id.is_empty()
        {
            context.correlation_id = trace.to_string();
        }
    }
}

fn traced_id(span: &Span) -> Option<TraceId> {
    let context = span.context();
    let id = context.span().span_context().trace_id();
    Some(id).filter(|id| *id != TraceId::INVALID)
}

/// The caller's span; none where the header is missing or means nothing. Later versions of the header begin like this one.
fn parse(headers: &HeaderMap) -> Option<SpanContext> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let known = version.len() == 2 && version != "ff" && (version != "00" || parts.next().is_none());
    let lengths = trace.len() == 32 && span.len() == 16 && flags.len() == 2;
    let lower_hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !known || !lengths || ![version, trace, span, flags].into_iter().all(lower_hex) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::default())).filter(SpanContext::is_valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn trace_of(header: &str) -> Option<String> {
        let headers = HeaderMap::from_iter([(TRACEPARENT.parse().unwrap(), header.parse().unwrap())]);
        parse(&headers).map(|parent| parent.trace_id().to_string())
    }

    #[test]
    fn the_header_is_read_as_w3c_defines_it() {
        for good in
            ["00-{}-00f067aa0ba902b7-01", "00-{}-00f067aa0ba902b7-00", "01-{}-00f067aa0ba902b7-01-more"]
        {
            assert_eq!(trace_of(&good.replace("{}", TRACE)).as_deref(), Some(TRACE), "{good}");
        }
        for bad in [
            "",
            "00",
            "ff-{}-00f067aa0ba902b7-01",
            "00-{}-0000000000000000-01",
            "00-{}-00f067aa0ba902b7-01-more",
            "00-{}0-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(trace_of(&bad.replace("{}", TRACE)), None, "{bad}");
        }
    }

    #[test]
    fn a_trace_is_kept_where_the_caller_gave_no_correlation_id() {
        let trace = CallTrace(TraceId::from_hex(TRACE).ok());
        let mut context = AuditContext::default();
        trace.keep_in(Some(&mut context));
        assert_eq!(context.correlation_id, TRACE);
        let mut context = AuditContext { correlation_id: "order-7".to_owned(), ..AuditContext::default() };
        trace.keep_in(Some(&mut context));
        assert_eq!(context.correlation_id, "order-7");
        CallTrace(None).keep_in(None);
    }
}
