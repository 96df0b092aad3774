//! Sessions with a database that is looked at, or meddled with, past the service. None of them waits for ever.

use std::io;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection};

use crate::limit::within;

/// What getting a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// When PostgreSQL gives up by itself, on a machine that is busy with other things.
const LIMITS: [(&str, &str); 2] = [("statement_timeout", "120s"), ("lock_timeout", "60s")];

/// Opens a session in which a statement ends within two minutes, and the waiting for a lock within one.
///
/// # Errors
/// What the database answers, or that it does not within 10 s.
pub async fn connect(url: &str) -> sqlx::Result<PgConnection> {
    open(&session_options(url)?).await
}

/// What [`connect`] opens, for a pool of such sessions.
///
/// # Errors
/// When the URL is none.
pub fn session_options(url: &str) -> sqlx::Result<PgConnectOptions> {
    Ok(PgConnectOptions::from_str(url)?.options(LIMITS))
}

pub(crate) async fn open(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    in_time(CONNECT_LIMIT, "a session", options.connect()).await
}

/// An answer that does not come in time is one that was lost: the session is of no further use.
pub(crate) async fn in_time<T>(
    limit: Duration,
    what: &str,
    work: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    let late = |late| sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, late));
    within(limit, what, work).await.map_err(late)?
}
