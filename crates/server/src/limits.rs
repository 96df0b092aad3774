//! Every limit of the service itself, in one place; those of a request's contents stand in
//! [`partita_model::limits`]. `docs/limits.md` lists both.

use std::time::Duration;

/// Largest message, received or sent, in bytes: gRPC's own default, which most clients keep. A longer one is
/// answered with `OUT_OF_RANGE` before it is read.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most calls that are open at once on one connection. A client's library queues what is beyond.
pub const CONCURRENT_STREAMS_MAX: u32 = 1_024;
/// Most streams of one connection that break the protocol and are reset for it; then the connection is closed
/// (RUSTSEC-2024-0003). hyper's default, which tonic replaces by "no limit" unless it is told.
pub const LOCAL_ERROR_RESETS_MAX: usize = 1_024;
/// How long a message may take to arrive, from its first byte to its last; of a call with one message also the call's
/// beginning and end. A call whose message never ends would hold its place for ever.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may be open before its client has said that it speaks HTTP/2.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// What it says (RFC 9113, section 3.4), in bytes.
pub const GREETING_BYTES: usize = 24;
/// Longest list of headers of a call, in bytes, each counted with 32 bytes on top (RFC 9113, section 6.5.2).
pub const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
/// How long a connection may be silent before it is asked for a sign of life.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// How long that sign may take; then the connection is closed.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long to wait after a connection could not be accepted. The usual cause, no file descriptors left, does
/// not pass by asking again at once.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a client may take to agree on TLS.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Most clients that are about to agree on TLS. Others wait to be accepted.
pub const HANDSHAKES_MAX: usize = 256;
/// How often the files of certificates are looked at.
pub const CERTIFICATE_LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// How long keys of tokens may take to come from their URL.
pub const KEY_FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest JWK set, in bytes.
pub const KEY_SET_BYTES_MAX: usize = 1024 * 1024;

/// When a caller that was turned away for the sake of a limit should come back.
pub const SHED_RETRY_AFTER: Duration = Duration::from_millis(250);
/// Tenants whose load is remembered although they do nothing now.
pub const TENANT_LOADS_KEPT: usize = 4_096;

/// Size at which a message of a read is full, in bytes. A larger event has a message of its own.
pub const READ_MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Most events in one message of a read.
pub const READ_MESSAGE_EVENTS_MAX: usize = 200;

/// Most appends that are in flight in one pipeline: read and not answered. When one of these three is reached, nothing
/// more is read, and the client is held up by HTTP/2 flow control.
pub const PIPELINE_APPENDS_MAX: usize = 1_024;
/// Most events in flight in one pipeline: half of what one tenant may have waiting in a lane, so that a pipeline alone
/// is never turned away as a flood.
pub const PIPELINE_EVENTS_MAX: usize = 2_048;
/// Most bytes of data and metadata in flight in one pipeline.
pub const PIPELINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Partitions in a page of a list when the request names no number.
pub const PAGE_SIZE_DEFAULT: u32 = 100;
/// Most partitions in a page of a list.
pub const PAGE_SIZE_MAX: u32 = 1_000;
/// Rows in a batch of a purge when the request names no number.
pub const PURGE_BATCH_ROWS_DEFAULT: u32 = 1_000;
/// Most rows in a batch of a purge: a transaction of seconds at most.
pub const PURGE_BATCH_ROWS_MAX: u32 = 10_000;

/// Failed pings of the database, one after the other, that make the service `NOT_SERVING`. A single one may be a
/// failover of a second, and taking every instance out of service would make that worse.
pub const PING_FAILURES_MAX: u32 = 2;

// An error travels in trailers, and a client that keeps gRPC Java's default reads at most 8 KiB of those: beyond
// it the caller would learn nothing but "protocol error". The three limits together keep the worst case below.

/// Longest message of an error, in bytes; percent-encoding can triple it.
pub const STATUS_MESSAGE_BYTES_MAX: usize = 512;
/// Longest description of one field violation, in bytes. It may quote what the caller sent.
pub const VIOLATION_BYTES_MAX: usize = 256;
/// Most bytes of field violations, version conflicts or event ids in one error; the metadata key `omitted` counts the rest.
pub const STATUS_DETAILS_BYTES_MAX: usize = 2_048;
