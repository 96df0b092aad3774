//! A program that knows nothing of Partita, and writes straight into the legacy table.

use std::sync::Arc;
use std::time::Duration;

use partita_model::{ExpectedVersion, StreamId, TenantId, Timestamp, Uuid, Version};
use rand::RngExt as _;
use sqlx::postgres::PgSeverity;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::history::{AppendAnswer, AppendDeed, Call, Deed, Part, Place, Refused, SentEvent};
use crate::session::{in_time, open, session_options};
use crate::workload::{Caller, Drafts, WorkloadOptions, any_tenant, pause, shared_stream};

/// When PostgreSQL gives up by itself; later settings of an option win.
const LIMITS: [(&str, &str); 2] = [("statement_timeout", "8s"), ("lock_timeout", "4s")];
/// How long an answer is waited for: a stopped session gives none, and a commit that waits for a standby is no statement.
const ANSWER_LIMIT: Duration = Duration::from_secs(12);

/// Inserts into the streams that the others share, each event after the last that it sees, and into no other table.
#[derive(Debug, Clone)]
pub struct ForeignWriter {
    database_url: String,
}

#[derive(FromRow)]
struct Inserted {
    event_timestamp: OffsetDateTime,
}

impl ForeignWriter {
    /// Writes to this database.
    pub fn new(database_url: impl Into<String>) -> Self {
        Self { database_url: database_url.into() }
    }

    /// Writes until it is told to stop. It comes back when it loses its connection, and does not try an event again.
    pub(crate) async fn run(
        self,
        mut caller: Caller,
        options: Arc<WorkloadOptions>,
        stop: CancellationToken,
    ) -> Vec<Call> {
        let mut drafts = Drafts::new(caller.worker, &options);
        let mut connection = None;
        while !stop.is_cancelled() {
            pause(&mut caller.dice, options.pause * 8).await;
            if caller.mood.is_foreigner_silent() {
                continue;
            }
            let open = match connection.take() {
                Some(open) => Some(open),
                None => self.connect().await.ok(),
            };
            let (Some(mut open), Some(tenant)) = (open, any_tenant(&mut caller.dice, &options)) else {
                continue;
            };
            let stream = shared_stream(&mut caller.dice, &options);
            let Ok(last) = last_version(&mut open, &tenant, &stream).await else { continue };
            let expected =
                if last == Version::NONE { ExpectedVersion::NoStream } else { ExpectedVersion::Exact(last) };
            let part = drafts.part(&mut caller.dice, stream, expected, 1, true);
            if write(&mut open, &mut caller, &tenant, part, last).await {
                connection = Some(open);
            }
        }
        caller.calls
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        open(&session_options(&self.database_url)?.options(LIMITS)).await
    }
}

async fn last_version(
    connection: &mut PgConnection,
    tenant: &TenantId,
    stream: &StreamId,
) -> sqlx::Result<Version> {
    let last = sqlx::query_scalar::<_, Option<i32>>(include_str!("../sql/find_last_version.sql"))
        .bind(tenant.as_str())
        .bind(stream.aggregate_type())
        .bind(stream.aggregate_id())
        .fetch_one(connection);
    let last = in_time(ANSWER_LIMIT, "the last version", last).await?;
    Ok(Version::new(last.unwrap_or_default()))
}

/// Writes one event and remembers it; says whether the connection is of further use.
async fn write(
    connection: &mut PgConnection,
    caller: &mut Caller,
    tenant: &TenantId,
    part: Part,
    last: Version,
) -> bool {
    let Some(event) = part.events.first().cloned() else { return true };
    let (event_id, version) =
        (event.event_id.unwrap_or_else(|| Uuid::from_u128(caller.dice.random())), last.get() + 1);
    let request_id = format!("f{}", event.mark);
    let (begun, at) = (caller.clock.draw(), caller.clock.elapsed());
    let written = insert(connection, tenant, &part.stream, &event, event_id, version, &request_id).await;
    let (answer, usable) = match written {
        Ok(row) => {
            let event_timestamp = Timestamp::from_datetime(row.event_timestamp);
            let place = Place { event_id, version: Version::new(version), position: None, event_timestamp };
            (AppendAnswer::Recorded { events: vec![place], replayed: false }, true)
        }
        Err(error) => judge(&error),
    };
    caller.count_append(&answer);
    let deed = AppendDeed { tenant: tenant.clone(), parts: Arc::from([part]), request_id, answer };
    caller.remember(None, begun, at, Deed::Append(deed));
    usable
}

async fn insert(
    connection: &mut PgConnection,
    tenant: &TenantId,
    stream: &StreamId,
    event: &SentEvent,
    event_id: Uuid,
    version: i32,
    request_id: &str,
) -> sqlx::Result<Inserted> {
    let inserted = sqlx::query_as(include_str!("../sql/insert_foreign.sql"))
        .bind(event_id)
        .bind(&event.event_type)
        .bind(stream.aggregate_type())
        .bind(stream.aggregate_id())
        .bind(version)
        .bind(&event.data)
        .bind(&event.metadata)
        .bind(tenant.as_str())
        .bind(request_id)
        .bind(format!("foreign-{}", event.mark))
        .bind(event.event_timestamp.map(Timestamp::to_datetime))
        .fetch_one(connection);
    in_time(ANSWER_LIMIT, "an insert", inserted).await
}

/// An error that PostgreSQL reports for the statement has rolled it back; a session that ended, or said nothing in time, has
/// not, for certain.
fn judge(error: &sqlx::Error) -> (AppendAnswer, bool) {
    let reported = error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>());
    match reported {
        Some(error) if !matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic) => {
            let reason = format!("SQLSTATE {}", error.code());
            (AppendAnswer::Refused(Refused { reason, conflict: None }), true)
        }
        Some(_) | None => (AppendAnswer::Unknown("the session ended".to_owned()), false),
    }
}
