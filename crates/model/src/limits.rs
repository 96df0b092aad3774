//! Every limit on what a caller may send, in one place. `docs/limits.md` lists them.
//!
//! Lengths of text are in characters, as PostgreSQL counts `varchar(n)`; sizes are in bytes of UTF-8.

/// Longest tenant, user, correlation, session and request id, and longest aggregate id, in characters.
pub const ID_CHARS_MAX: usize = 255;
/// Longest event type and longest aggregate type, in characters.
pub const TYPE_CHARS_MAX: usize = 100;
/// Longest legal basis and longest data classification, in characters.
pub const CLASS_CHARS_MAX: usize = 50;
/// Longest name of a retention policy, in characters.
pub const RETENTION_POLICY_CHARS_MAX: usize = 100;
/// Longest user agent, in characters. The column is unbounded; a header of a client is not.
pub const USER_AGENT_CHARS_MAX: usize = 1_024;
/// Largest event: its data and metadata together, in bytes.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// Most events in one append, over all of its streams.
pub const APPEND_EVENTS_MAX: usize = 1_000;
/// Largest append: data and metadata of all its events, in bytes. Below the 4 MiB of a gRPC message, so that
/// the refusal comes from here and names the field.
pub const APPEND_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Most streams in one append.
pub const APPEND_STREAMS_MAX: usize = 100;
/// Most event ids that are looked for at once: those of the largest append.
pub const FIND_EVENTS_MAX: usize = APPEND_EVENTS_MAX;
/// Deepest nesting of a JSON document.
pub const JSON_DEPTH_MAX: usize = 120;
/// Most digits of a JSON number when it is written out without an exponent. `jsonb` stores `1e9000` as 9,001
/// digits: a few bytes sent could otherwise fill a disk.
pub const JSON_NUMBER_DIGITS_MAX: usize = 1_000;
/// Largest version of a stream: the column is a PostgreSQL `integer`.
pub const VERSION_MAX: i32 = i32::MAX;
/// Most months ahead that partitions are made for.
pub const MONTHS_AHEAD_MAX: u32 = 120;
/// Longest reason that an operator gives for lowering a floor, in characters.
pub const FLOOR_REASON_CHARS_MAX: usize = 1_000;
/// Longest retention, in months. 0 keeps for ever.
pub const RETENTION_MONTHS_MAX: u32 = 1_200;
