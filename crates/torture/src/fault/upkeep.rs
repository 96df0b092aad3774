//! What an operator does meanwhile.

use partita_proto::v1::maintain_partitions_response::Result as Report;
use partita_proto::v1::partition_action::Kind;
use partita_proto::v1::partition_admin_service_client::PartitionAdminServiceClient;
use partita_proto::v1::{MaintainPartitionsRequest, MaintainPartitionsResponse};
use rand::RngExt as _;
use sqlx::AssertSqlSafe;

use crate::plan::Dice;
use crate::stage::Stage;

/// What a run of maintenance came to.
#[derive(Default)]
struct Maintained {
    tenants: u64,
    detached: u64,
}

/// Maintenance by a service, beside the SQL function, and both again: single flight must hold. Gives how many visits of a
/// tenant by the service, and how many runs of the function, went through.
pub(super) async fn maintain(stage: &mut Stage<'_>) -> anyhow::Result<u64> {
    let mut done = 0;
    for months_ahead in [3, 2, 4] {
        let by_service = maintain_by(stage, months_ahead, 18);
        let by_hand = async {
            let mut session = stage.connect().await?;
            let statement = "SELECT ensure_event_store_partitions_for_all($1, 18)";
            // A lock that is not to be had is no failure of anything: the next run goes on.
            let ran = sqlx::query(statement).bind(months_ahead).execute(&mut session).await;
            if let Err(error) = &ran {
                tracing::debug!(%error, "maintenance by hand did not go through");
            }
            anyhow::Ok(u64::from(ran.is_ok()))
        };
        let (by_service, by_hand) = tokio::join!(by_service, by_hand);
        done += by_service?.tenants + by_hand?;
    }
    Ok(done)
}

/// What a careful operator does to tables in use, and what a careless one does. Gives how many statements went through.
pub(super) async fn change_schema(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<u64> {
    let mut session = stage.connect().await?;
    let leaves: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', relnamespace::regnamespace, relname) FROM pg_class WHERE relkind = 'r' \
         AND relnamespace = 'event_store_partitions'::regnamespace ORDER BY relname",
    )
    .fetch_all(&mut session)
    .await?;
    let Some(leaf) = leaves.get(dice.random_range(0..leaves.len().max(1))) else { return Ok(0) };
    let statements = [
        "ANALYZE public.event_store".to_owned(),
        "CREATE INDEX CONCURRENTLY torture_user ON public.event_store (user_id)".to_owned(),
        format!("VACUUM (FREEZE, ANALYZE) {leaf}"),
        format!("BEGIN; LOCK TABLE {leaf} IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(0.6); COMMIT"),
        "BEGIN; LOCK TABLE public.event_store IN SHARE MODE; SELECT pg_sleep(0.4); COMMIT".to_owned(),
        "BEGIN; LOCK TABLE public.event_store_partitioned IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(0.4); COMMIT"
            .to_owned(),
        format!("REINDEX TABLE CONCURRENTLY {leaf}"),
        "DROP INDEX CONCURRENTLY IF EXISTS public.torture_user".to_owned(),
    ];
    let mut done = 0;
    for statement in statements {
        match sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut session).await {
            Ok(_) => done += 1,
            // The others' locks may have won, or ended it as the victim of a deadlock.
            Err(error) => {
                tracing::debug!(%error, statement, "an operator's statement did not go through");
                session = stage.connect().await?;
            }
        }
    }
    Ok(done)
}

/// Shortens the retention step by step while events of past months come in and are read. Gives how many months were detached.
pub(super) async fn expire(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<u64> {
    let mut detached = 0;
    for retention_months in [14, 9, 5, 3] {
        stage.wait(dice, 500..1_000).await;
        detached += maintain_by(stage, 2, retention_months).await?.detached;
        stage.load.witness_floors(&mut stage.connect().await?).await?;
    }
    Ok(detached)
}

/// Has the first service that has the flag maintain all tenants; what cannot be done now is no failure.
async fn maintain_by(
    stage: &Stage<'_>,
    months_ahead: i32,
    retention_months: i32,
) -> anyhow::Result<Maintained> {
    let mut done = Maintained::default();
    let Some(service) = stage.services.iter().find(|service| service.options().partitions_v1) else {
        return Ok(done);
    };
    let request = MaintainPartitionsRequest {
        months_ahead: Some(months_ahead),
        retention_months: Some(retention_months),
        ..MaintainPartitionsRequest::default()
    };
    let mut client = PartitionAdminServiceClient::new(service.channel());
    match client.maintain_partitions(request).await {
        Ok(report) => {
            let mut report = report.into_inner();
            loop {
                match report.message().await {
                    Ok(Some(message)) => done.add(message),
                    Ok(None) => break,
                    Err(status) => {
                        tracing::debug!(%status, "maintenance was cut short");
                        break;
                    }
                }
            }
        }
        Err(status) => tracing::debug!(%status, "maintenance was refused"),
    }
    Ok(done)
}

impl Maintained {
    fn add(&mut self, message: MaintainPartitionsResponse) {
        let Some(Report::Tenant(tenant)) = message.result else { return };
        self.tenants += u64::from(tenant.failure.is_none());
        self.detached +=
            tenant.actions.iter().filter(|action| action.kind() == Kind::Detached).count() as u64;
    }
}
