//! What the tables hold, read at once when nobody writes any more.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use partita_model::{StreamId, TenantId, Timestamp, Uuid, Version};
use sqlx::{Connection as _, FromRow, PgConnection};
use time::OffsetDateTime;

use crate::history::StreamKey;
use crate::session::in_time;

/// How long the reading of everything may take, and the looking up of all floors.
const READ_LIMIT: Duration = Duration::from_secs(300);

/// All that is stored, in memory: about 1 KiB an event.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// The legacy table, by stream and version.
    pub legacy: Vec<Row>,
    /// The partitioned table, by tenant and position.
    pub partitioned: Vec<Row>,
    /// The registry.
    pub tenants: BTreeMap<TenantId, TenantState>,
    /// The streams' own records.
    pub heads: HashMap<StreamKey, Version>,
}

/// What the registry says of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TenantState {
    /// The last position that was drawn.
    pub last_position: i64,
    /// The floor; none: everything is kept.
    pub floor: Option<Timestamp>,
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its id.
    pub event_id: Uuid,
    /// Its stream.
    pub key: StreamKey,
    /// Its place in the stream.
    pub version: Version,
    /// Its place in the tenant's feed; none in the legacy table.
    pub position: Option<i64>,
    /// Its type.
    pub event_type: String,
    /// The document, as it is printed.
    pub data: String,
    /// The document beside it.
    pub metadata: Option<String>,
    /// The request that wrote it.
    pub request_id: Option<String>,
    /// When it happened.
    pub event_timestamp: Timestamp,
    /// When its transaction was committed, where PostgreSQL keeps track.
    pub committed_at: Option<OffsetDateTime>,
    /// Over every column that both tables have: equal digests, equal rows.
    pub digest: String,
}

impl Contents {
    /// Reads everything in one snapshot.
    ///
    /// # Errors
    /// What the database answers, or that it does not within five minutes; [`sqlx::Error::Decode`] for a tenant that no
    /// service could have written.
    pub async fn read(connection: &mut PgConnection) -> sqlx::Result<Self> {
        in_time(READ_LIMIT, "all that is stored", Self::read_patiently(connection)).await
    }

    async fn read_patiently(connection: &mut PgConnection) -> sqlx::Result<Self> {
        let mut snapshot = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
        // The session may be one whose statements are to be short.
        sqlx::query("SET LOCAL statement_timeout = '300s'").execute(&mut *snapshot).await?;
        let legacy: Vec<EventRow> =
            sqlx::query_as(include_str!("../sql/list_legacy.sql")).fetch_all(&mut *snapshot).await?;
        let partitioned: Vec<EventRow> =
            sqlx::query_as(include_str!("../sql/list_partitioned.sql")).fetch_all(&mut *snapshot).await?;
        let tenants: Vec<TenantRow> =
            sqlx::query_as(include_str!("../sql/list_tenants.sql")).fetch_all(&mut *snapshot).await?;
        let streams: Vec<StreamRow> =
            sqlx::query_as(include_str!("../sql/list_streams.sql")).fetch_all(&mut *snapshot).await?;
        snapshot.commit().await?;
        Ok(Self {
            legacy: legacy.into_iter().map(Row::try_from).collect::<sqlx::Result<_>>()?,
            partitioned: partitioned.into_iter().map(Row::try_from).collect::<sqlx::Result<_>>()?,
            tenants: tenants.into_iter().map(TenantRow::parse).collect::<sqlx::Result<_>>()?,
            heads: streams.into_iter().map(StreamRow::parse).collect::<sqlx::Result<_>>()?,
        })
    }

    /// Whether an event of this time may be gone: its tenant keeps nothing that old.
    pub fn is_expired(&self, tenant: &TenantId, event_timestamp: Timestamp) -> bool {
        let floor = self.tenants.get(tenant).and_then(|tenant| tenant.floor);
        floor.is_some_and(|floor| event_timestamp < floor)
    }
}

/// The floors of the tenants that have one.
pub(crate) async fn list_floors(connection: &mut PgConnection) -> sqlx::Result<Vec<(TenantId, Timestamp)>> {
    let tenants =
        sqlx::query_as::<_, TenantRow>(include_str!("../sql/list_tenants.sql")).fetch_all(connection);
    let tenants = in_time(READ_LIMIT, "the floors", tenants).await?;
    let floors = tenants.into_iter().map(|row| {
        let (tenant, state) = row.parse()?;
        Ok(state.floor.map(|floor| (tenant, floor)))
    });
    floors.filter_map(Result::transpose).collect()
}

#[derive(FromRow)]
struct EventRow {
    event_id: Uuid,
    tenant_id: String,
    aggregate_type: String,
    aggregate_id: String,
    aggregate_version: i32,
    position: Option<i64>,
    event_type: String,
    event_data: String,
    event_metadata: Option<String>,
    request_id: Option<String>,
    event_timestamp: OffsetDateTime,
    committed_at: Option<OffsetDateTime>,
    digest: String,
}

impl TryFrom<EventRow> for Row {
    type Error = sqlx::Error;

    fn try_from(row: EventRow) -> sqlx::Result<Self> {
        Ok(Self {
            event_id: row.event_id,
            key: key(row.tenant_id, row.aggregate_type, row.aggregate_id)?,
            version: Version::new(row.aggregate_version),
            position: row.position,
            event_type: row.event_type,
            data: row.event_data,
            metadata: row.event_metadata,
            request_id: row.request_id,
            event_timestamp: Timestamp::from_datetime(row.event_timestamp),
            committed_at: row.committed_at,
            digest: row.digest,
        })
    }
}

#[derive(FromRow)]
struct TenantRow {
    tenant_id: String,
    last_position: i64,
    retention_floor: Option<OffsetDateTime>,
}

impl TenantRow {
    fn parse(self) -> sqlx::Result<(TenantId, TenantState)> {
        let floor = self.retention_floor.map(Timestamp::from_datetime);
        Ok((tenant(self.tenant_id)?, TenantState { last_position: self.last_position, floor }))
    }
}

#[derive(FromRow)]
struct StreamRow {
    tenant_id: String,
    aggregate_type: String,
    aggregate_id: String,
    version: i32,
}

impl StreamRow {
    fn parse(self) -> sqlx::Result<(StreamKey, Version)> {
        Ok((key(self.tenant_id, self.aggregate_type, self.aggregate_id)?, Version::new(self.version)))
    }
}

fn key(tenant_id: String, aggregate_type: String, aggregate_id: String) -> sqlx::Result<StreamKey> {
    Ok(StreamKey { tenant: tenant(tenant_id)?, stream: StreamId::from_row(aggregate_type, aggregate_id) })
}

fn tenant(tenant_id: String) -> sqlx::Result<TenantId> {
    TenantId::parse(tenant_id).map_err(|error| sqlx::Error::Decode(format!("tenant_id {error}").into()))
}
