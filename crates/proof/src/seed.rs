//! History that is there before a load begins, as another program wrote it: remembered like everything else.

use std::sync::Arc;

use partita_model::{ExpectedVersion, TenantId, Timestamp, Uuid, Version};
use rand::SeedableRng as _;
use sqlx::{Connection as _, PgConnection};
use time::{Duration, OffsetDateTime};

use crate::history::{AppendAnswer, AppendDeed, Call, Deed, History, MomentClock, Part, Place};
use crate::session::connect;
use crate::workload::{Dice, Drafts, WorkloadOptions, shared_streams};

/// How old the youngest event is, so that whatever the load appends by the clock comes after it.
const YOUNGEST: Duration = Duration::days(1);

/// How much history there is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed {
    /// Events of each stream that the workers of a load share, 1 to 10,000.
    pub events: usize,
    /// How far back the oldest lies, in days, at least 2; the others are spread evenly.
    pub days_back: u32,
}

impl Seed {
    /// Writes it straight into the legacy table, for all tenants of a load that is to come. The streams must be new.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn write(self, database_url: &str, options: &WorkloadOptions) -> sqlx::Result<History> {
        let mut connection = connect(database_url).await?;
        // The first number that no worker of the load has, and the foreign program neither.
        let worker = options.writers + options.readers + 1;
        let (mut drafts, clock) = (Drafts::new(worker, options), MomentClock::default());
        let mut dice = Dice::seed_from_u64(options.seed ^ (u64::from(worker) << 32));
        let mut history = History::default();
        for tenant in &options.tenants {
            for stream in shared_streams(options) {
                let mut part =
                    drafts.part(&mut dice, stream, ExpectedVersion::NoStream, self.events.max(1), true);
                self.date(&mut part);
                let request_id = format!("s{}", drafts.serial());
                let (begun, at) = (clock.draw(), clock.elapsed());
                let places = insert(&mut connection, tenant, &part, &request_id).await?;
                let answer = AppendAnswer::Recorded { events: places, replayed: false };
                let deed =
                    AppendDeed { tenant: tenant.clone(), parts: Arc::from([part]), request_id, answer };
                let deed = Deed::Append(deed);
                history.calls.push(Call { worker, service: None, begun, ended: clock.draw(), at, deed });
            }
        }
        connection.close().await?;
        Ok(history)
    }

    /// Spreads the events evenly over the days, in the order of their versions.
    fn date(self, part: &mut Part) {
        let now = OffsetDateTime::now_utc();
        let span = Duration::days(i64::from(self.days_back)) - YOUNGEST;
        let count = i32::try_from(part.events.len()).unwrap_or(i32::MAX);
        for (index, event) in (0_i32..).zip(&mut part.events) {
            let age = YOUNGEST + span / count * (count - 1 - index);
            event.event_timestamp = Some(Timestamp::from_datetime(now - age));
        }
    }
}

async fn insert(
    connection: &mut PgConnection,
    tenant: &TenantId,
    part: &Part,
    request_id: &str,
) -> sqlx::Result<Vec<Place>> {
    let events = &part.events;
    let ids: Vec<Uuid> = events.iter().filter_map(|event| event.event_id).collect();
    let types: Vec<&str> = events.iter().map(|event| event.event_type.as_str()).collect();
    let data: Vec<&str> = events.iter().map(|event| event.data.as_str()).collect();
    let metadata: Vec<Option<&str>> = events.iter().map(|event| event.metadata.as_deref()).collect();
    let times: Vec<Timestamp> = events.iter().filter_map(|event| event.event_timestamp).collect();
    sqlx::query(include_str!("../sql/insert_seed.sql"))
        .bind(tenant.as_str())
        .bind(part.stream.aggregate_type())
        .bind(part.stream.aggregate_id())
        .bind(request_id)
        .bind(&ids)
        .bind(types)
        .bind(data)
        .bind(metadata)
        .bind(times.iter().map(|at| at.to_datetime()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    let places = (1..).zip(ids).zip(times).map(|((version, event_id), event_timestamp)| Place {
        event_id,
        version: Version::new(version),
        position: None,
        event_timestamp,
    });
    Ok(places.collect())
}
