use partita_model::{
    AppendedEvent, AuditContext, ControlPhase, NewEvent, Phase, StreamId, TenantId, Timestamp, Uuid, Version,
};
use sqlx::PgConnection;

/// An event with all that is drawn for it, ready to be written.
#[derive(Debug)]
pub(super) struct NewRow<'a> {
    pub tenant: &'a TenantId,
    pub stream: &'a StreamId,
    pub event: &'a NewEvent,
    pub context: &'a AuditContext,
    pub event_id: Uuid,
    pub version: Version,
    /// None in phase `legacy`.
    pub position: Option<i64>,
    pub event_timestamp: Timestamp,
    pub created_at: Timestamp,
    pub event_hash: String,
    pub previous_event_hash: Option<String>,
}

/// Where a stream stands after an append.
#[derive(Debug)]
pub(super) struct StreamRow<'a> {
    pub tenant: &'a TenantId,
    pub stream: &'a StreamId,
    pub version: Version,
    pub last_hash: String,
    pub first_timestamp: Timestamp,
    pub last_timestamp: Timestamp,
    /// The least of the timestamps that come behind a greater one; what comes behind those of the stream that are there is
    /// found by the statement.
    pub late_timestamp: Option<Timestamp>,
}

impl NewRow<'_> {
    pub(super) fn appended(&self) -> AppendedEvent {
        AppendedEvent {
            event_id: self.event_id,
            version: self.version,
            position: self.position,
            event_timestamp: self.event_timestamp,
        }
    }
}

impl<'a> StreamRow<'a> {
    /// Over the new rows of one stream, in order; `None` for no rows.
    pub(super) fn over(rows: &[NewRow<'a>]) -> Option<Self> {
        let last = rows.last()?;
        Some(Self {
            tenant: last.tenant,
            stream: last.stream,
            version: last.version,
            last_hash: last.event_hash.clone(),
            first_timestamp: rows.iter().map(|row| row.event_timestamp).min()?,
            last_timestamp: rows.iter().map(|row| row.event_timestamp).max()?,
            late_timestamp: late(rows.iter().map(|row| row.event_timestamp)),
        })
    }

    /// Adds a later append to the same stream in the same batch.
    pub(super) fn extend(&mut self, later: Self) {
        self.version = later.version;
        self.last_hash = later.last_hash;
        let late = Some(later.first_timestamp).filter(|first| *first < self.last_timestamp);
        self.late_timestamp = [self.late_timestamp, later.late_timestamp, late].into_iter().flatten().min();
        self.first_timestamp = self.first_timestamp.min(later.first_timestamp);
        self.last_timestamp = self.last_timestamp.max(later.last_timestamp);
    }
}

/// The least of the timestamps that come behind a greater one.
fn late(timestamps: impl Iterator<Item = Timestamp>) -> Option<Timestamp> {
    let mut greatest = None;
    let is_late = |at: &Timestamp| {
        let before = greatest.replace(greatest.map_or(*at, |before: Timestamp| before.max(*at)));
        before.is_some_and(|before| *at < before)
    };
    timestamps.filter(is_late).min()
}

/// One array a value.
fn column<'r, R, T>(rows: &'r [R], value: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

/// One array a text column.
fn text<'r>(rows: &'r [NewRow<'_>], value: impl Fn(&'r NewRow<'_>) -> &'r str) -> Vec<&'r str> {
    column(rows, value)
}

/// One array a nullable text column of the audit context.
fn audit<'r>(
    rows: &'r [NewRow<'_>],
    value: impl Fn(&'r AuditContext) -> &'r Option<String>,
) -> Vec<Option<&'r str>> {
    column(rows, |row| value(row.context).as_deref())
}

/// Where a tenant of a batch stands.
#[derive(Debug)]
pub(super) struct TenantRow<'a> {
    pub tenant: &'a TenantId,
    /// The last position that the batch was decided on.
    pub base_position: i64,
    /// The last position after it.
    pub last_position: i64,
    /// The least timestamp of its events.
    pub first_timestamp: Timestamp,
}

/// Writes a batch to the tables of the phase, and moves its tenants and streams on. Gives whether the tenants stood where
/// the batch believes, and the phase was the one believed (nothing was written otherwise), and the database's clock.
pub(super) async fn record(
    connection: &mut PgConnection,
    phase: Phase,
    rows: &[NewRow<'_>],
    tenants: &[TenantRow<'_>],
    streams: &[StreamRow<'_>],
) -> sqlx::Result<(bool, Timestamp)> {
    #[cfg(feature = "planted-bugs")]
    let rows = crate::planted::rows(rows);
    if phase.writes_legacy() {
        record_dual(connection, phase.control(), rows, tenants, streams).await
    } else {
        record_partitioned(connection, rows, tenants, streams).await
    }
}

async fn record_dual(
    connection: &mut PgConnection,
    control: ControlPhase,
    rows: &[NewRow<'_>],
    tenants: &[TenantRow<'_>],
    streams: &[StreamRow<'_>],
) -> sqlx::Result<(bool, Timestamp)> {
    let statement = sqlx::query_file!(
        "sql/append/record_dual.sql",
        &column(rows, |row| row.event_id),
        &text(rows, |row| &row.event.event_type) as _,
        &text(rows, |row| row.stream.aggregate_type()) as _,
        &text(rows, |row| row.stream.aggregate_id()) as _,
        &column(rows, |row| row.version.get()),
        &text(rows, |row| row.event.data.as_str()) as _,
        &column(rows, |row| row.event.metadata.as_ref().map(|metadata| metadata.as_str())) as _,
        &text(rows, |row| row.tenant.as_str()) as _,
        &text(rows, |row| &row.context.user_id) as _,
        &audit(rows, |context| &context.correlation_id) as _,
        &column(rows, |row| row.context.causation_id) as _,
        &audit(rows, |context| &context.legal_basis) as _,
        &audit(rows, |context| &context.data_classification) as _,
        &audit(rows, |context| &context.retention_policy) as _,
        &audit(rows, |context| &context.ip_address) as _,
        &audit(rows, |context| &context.user_agent) as _,
        &audit(rows, |context| &context.session_id) as _,
        &audit(rows, |context| &context.request_id) as _,
        &text(rows, |row| &row.event_hash) as _,
        &column(rows, |row| row.previous_event_hash.as_deref()) as _,
        &column(rows, |row| row.event_timestamp.to_datetime()),
        &column(rows, |row| row.created_at.to_datetime()),
        &column(rows, |row| row.position) as _,
        &column(tenants, |row| row.tenant.as_str()) as _,
        &column(tenants, |row| row.base_position),
        &column(tenants, |row| row.last_position),
        &column(tenants, |row| row.first_timestamp.to_datetime()),
        &column(streams, |row| row.tenant.as_str()) as _,
        &column(streams, |row| row.stream.aggregate_type()) as _,
        &column(streams, |row| row.stream.aggregate_id()) as _,
        &column(streams, |row| row.version.get()),
        &column(streams, |row| row.last_hash.as_str()) as _,
        &column(streams, |row| row.first_timestamp.to_datetime()),
        &column(streams, |row| row.last_timestamp.to_datetime()),
        control.to_string(),
        &column(streams, |row| row.late_timestamp.map(Timestamp::to_datetime)) as _,
    );
    #[cfg(feature = "planted-bugs")]
    if crate::planted::has(crate::planted::Bug::DoNothing) {
        let mut statement = statement;
        let arguments = sqlx::Execute::take_arguments(&mut statement).map_err(sqlx::Error::Encode)?;
        return crate::planted::record_doing_nothing(connection, arguments.unwrap_or_default()).await;
    }
    let recorded = statement.fetch_one(connection).await?;
    Ok((recorded.holds, Timestamp::from_datetime(recorded.now)))
}

async fn record_partitioned(
    connection: &mut PgConnection,
    rows: &[NewRow<'_>],
    tenants: &[TenantRow<'_>],
    streams: &[StreamRow<'_>],
) -> sqlx::Result<(bool, Timestamp)> {
    let recorded = sqlx::query_file!(
        "sql/append/record_partitioned.sql",
        &column(rows, |row| row.event_id),
        &text(rows, |row| &row.event.event_type) as _,
        &text(rows, |row| row.stream.aggregate_type()) as _,
        &text(rows, |row| row.stream.aggregate_id()) as _,
        &column(rows, |row| row.version.get()),
        &text(rows, |row| row.event.data.as_str()) as _,
        &column(rows, |row| row.event.metadata.as_ref().map(|metadata| metadata.as_str())) as _,
        &text(rows, |row| row.tenant.as_str()) as _,
        &text(rows, |row| &row.context.user_id) as _,
        &audit(rows, |context| &context.correlation_id) as _,
        &column(rows, |row| row.context.causation_id) as _,
        &audit(rows, |context| &context.legal_basis) as _,
        &audit(rows, |context| &context.data_classification) as _,
        &audit(rows, |context| &context.retention_policy) as _,
        &audit(rows, |context| &context.ip_address) as _,
        &audit(rows, |context| &context.user_agent) as _,
        &audit(rows, |context| &context.session_id) as _,
        &audit(rows, |context| &context.request_id) as _,
        &text(rows, |row| &row.event_hash) as _,
        &column(rows, |row| row.previous_event_hash.as_deref()) as _,
        &column(rows, |row| row.event_timestamp.to_datetime()),
        &column(rows, |row| row.created_at.to_datetime()),
        &column(rows, |row| row.position) as _,
        &column(tenants, |row| row.tenant.as_str()) as _,
        &column(tenants, |row| row.base_position),
        &column(tenants, |row| row.last_position),
        &column(tenants, |row| row.first_timestamp.to_datetime()),
        &column(streams, |row| row.tenant.as_str()) as _,
        &column(streams, |row| row.stream.aggregate_type()) as _,
        &column(streams, |row| row.stream.aggregate_id()) as _,
        &column(streams, |row| row.version.get()),
        &column(streams, |row| row.last_hash.as_str()) as _,
        &column(streams, |row| row.first_timestamp.to_datetime()),
        &column(streams, |row| row.last_timestamp.to_datetime()),
        &column(streams, |row| row.late_timestamp.map(Timestamp::to_datetime)) as _,
    )
    .fetch_one(connection)
    .await?;
    Ok((recorded.holds, Timestamp::from_datetime(recorded.now)))
}

/// Writes a batch to the legacy table alone.
pub(super) async fn record_legacy(connection: &mut PgConnection, rows: &[NewRow<'_>]) -> sqlx::Result<()> {
    sqlx::query_file!(
        "sql/append/record_legacy.sql",
        &column(rows, |row| row.event_id),
        &text(rows, |row| &row.event.event_type) as _,
        &text(rows, |row| row.stream.aggregate_type()) as _,
        &text(rows, |row| row.stream.aggregate_id()) as _,
        &column(rows, |row| row.version.get()),
        &text(rows, |row| row.event.data.as_str()) as _,
        &column(rows, |row| row.event.metadata.as_ref().map(|metadata| metadata.as_str())) as _,
        &text(rows, |row| row.tenant.as_str()) as _,
        &text(rows, |row| &row.context.user_id) as _,
        &audit(rows, |context| &context.correlation_id) as _,
        &column(rows, |row| row.context.causation_id) as _,
        &audit(rows, |context| &context.legal_basis) as _,
        &audit(rows, |context| &context.data_classification) as _,
        &audit(rows, |context| &context.retention_policy) as _,
        &audit(rows, |context| &context.ip_address) as _,
        &audit(rows, |context| &context.user_agent) as _,
        &audit(rows, |context| &context.session_id) as _,
        &audit(rows, |context| &context.request_id) as _,
        &text(rows, |row| &row.event_hash) as _,
        &column(rows, |row| row.previous_event_hash.as_deref()) as _,
        &column(rows, |row| row.event_timestamp.to_datetime()),
        &column(rows, |row| row.created_at.to_datetime()),
    )
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_is_what_comes_behind_a_greater_timestamp() {
        let late = |seconds: &[i64]| {
            let at = |seconds: &i64| Timestamp::from_unix(*seconds, 0).unwrap();
            super::late(seconds.iter().map(at)).map(|at| at.to_datetime().unix_timestamp())
        };
        assert_eq!(late(&[]), None);
        assert_eq!(late(&[1, 2, 2, 3]), None);
        assert_eq!(late(&[1, 5, 3, 4, 6]), Some(3));
        assert_eq!(late(&[5, 6, 1, 7, 2]), Some(1));
    }
}
