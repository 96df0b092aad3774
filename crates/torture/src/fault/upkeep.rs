//! What an operator does meanwhile.

use partita_proto::v1::MaintainPartitionsRequest;
use partita_proto::v1::partition_admin_service_client::PartitionAdminServiceClient;
use rand::RngExt as _;
use sqlx::AssertSqlSafe;

use crate::plan::Dice;
use crate::stage::Stage;

/// Maintenance by a service, beside the SQL function, and both again: single flight must hold.
pub(super) async fn maintain(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    for months_ahead in [3, 2, 4] {
        let by_service = maintain_by(stage, months_ahead, 18);
        let by_hand = async {
            let mut session = stage.connect().await?;
            let statement = "SELECT ensure_event_store_partitions_for_all($1, 18)";
            // A lock that is not to be had is no failure of anything: the next run goes on.
            if let Err(error) = sqlx::query(statement).bind(months_ahead).execute(&mut session).await {
                tracing::debug!(%error, "maintenance by hand did not go through");
            }
            anyhow::Ok(())
        };
        let (served, done) = tokio::join!(by_service, by_hand);
        served?;
        done?;
    }
    Ok(())
}

/// What a careful operator does to tables in use, and what a careless one does.
pub(super) async fn change_schema(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<()> {
    let mut session = stage.connect().await?;
    let leaves: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', relnamespace::regnamespace, relname) FROM pg_class WHERE relkind = 'r' \
         AND relnamespace = 'event_store_partitions'::regnamespace ORDER BY relname",
    )
    .fetch_all(&mut session)
    .await?;
    let Some(leaf) = leaves.get(dice.random_range(0..leaves.len().max(1))) else { return Ok(()) };
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
    for statement in statements {
        if let Err(error) = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut session).await {
            // The others' locks may have won, or ended it as the victim of a deadlock.
            tracing::debug!(%error, statement, "an operator's statement did not go through");
            session = stage.connect().await?;
        }
    }
    Ok(())
}

/// Shortens the retention step by step while events of past months come in and are read.
pub(super) async fn expire(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<()> {
    for retention_months in [14, 9, 5, 3] {
        stage.wait(dice, 500..1_000).await;
        maintain_by(stage, 2, retention_months).await?;
        stage.load.witness_floors(&mut stage.connect().await?).await?;
    }
    Ok(())
}

/// Has the first service that has the flag maintain all tenants; what cannot be done now is no failure.
async fn maintain_by(stage: &Stage<'_>, months_ahead: i32, retention_months: i32) -> anyhow::Result<()> {
    let Some(service) = stage.services.iter().find(|service| service.options().partitions_v1) else {
        return Ok(());
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
                    Ok(Some(_)) => {}
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
    Ok(())
}
