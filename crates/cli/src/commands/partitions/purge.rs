use clap::Args;
use partita_proto::v1::partition_admin_service_client::PartitionAdminServiceClient;
use partita_proto::v1::purge_legacy_response::Report;
use partita_proto::v1::{PurgeLegacyRequest, PurgeProgress, PurgeSummary};
use serde::Serialize;

use crate::client::{self, Channel};
use crate::commands::partitions::RecordArgs;
use crate::failure::Failure;
use crate::output::{self, Format};

const TITLES: [&str; 4] = ["tenant", "#expired", "#purged", ""];

/// Delete expired events from the legacy table, in small batches.
///
/// Only events below their tenant's floor whose month is dropped, never of a tenant under legal hold, and never the last
/// event of a stream. The memory of their ids goes with them: sent again, an event is a new one.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("whose").required(true).args(["tenant", "all"])))]
pub(crate) struct PurgeArgs {
    /// One tenant
    #[arg(long)]
    tenant: Option<String>,
    /// All tenants
    #[arg(long)]
    all: bool,
    /// Most rows a batch; each batch is a transaction
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(i32).range(1..=10_000))]
    batch_rows: i32,
    /// Delete them; without it they are counted
    #[arg(long)]
    execute: bool,
    /// Also events of detached months that may still be restored
    #[arg(long)]
    include_restorable: bool,
    /// Also the last event of a stream: only where nothing but this service writes the legacy table, for good
    #[arg(long)]
    last_events: bool,
    #[command(flatten)]
    record: RecordArgs,
}

/// A run, as `-o json` prints it.
#[derive(Debug, Serialize)]
struct RunDocument {
    executed: bool,
    expired: i64,
    purged: i64,
    delete_triggers: Vec<String>,
    tenants: Vec<TenantDocument>,
}

#[derive(Debug, Serialize)]
struct TenantDocument {
    tenant_id: String,
    expired: i64,
    purged: i64,
    legal_hold: bool,
}

pub(crate) async fn run(
    args: PurgeArgs,
    mut client: PartitionAdminServiceClient<Channel>,
    format: Format,
) -> Result<(), Failure> {
    let broken = |status| client::failure("the purge did not end", status);
    let request = PurgeLegacyRequest {
        tenant_id: args.tenant.unwrap_or_default(),
        batch_rows: args.batch_rows,
        execute: args.execute,
        include_restorable: args.include_restorable,
        last_events: args.last_events,
        user_id: args.record.user,
        reason: args.record.reason,
    };
    let mut reports = client.purge_legacy(request).await.map_err(broken)?.into_inner();
    let mut tenants = Vec::new();
    let mut summary = None;
    while let Some(message) = reports.message().await.map_err(broken)? {
        match message.report {
            Some(Report::Progress(progress)) if progress.finished => tenants.push(progress.into()),
            Some(Report::Summary(last)) => summary = Some(last),
            Some(Report::Progress(_)) | None => {}
        }
    }
    let summary = summary.ok_or_else(|| {
        Failure::internal("the server's report was cut short").next("run it again: what is purged is purged")
    })?;
    match format {
        Format::Json => output::json(&RunDocument::new(summary, tenants)),
        Format::Table => print(&summary, &tenants),
    }
}

fn print(summary: &PurgeSummary, tenants: &[TenantDocument]) -> Result<(), Failure> {
    output::table(&TITLES, tenants.iter().map(row).collect())?;
    let PurgeSummary { expired, purged, executed, delete_triggers, .. } = summary;
    if *executed {
        return output::line(&format!("expired {expired}, purged {purged}"));
    }
    output::line(&format!(
        "expired {expired}, would be purged {purged} (nothing was changed: add --execute)"
    ))?;
    if delete_triggers.is_empty() {
        return Ok(());
    }
    output::line("triggers that may forbid it; before --execute, for as long as it takes:")?;
    delete_triggers.iter().try_for_each(|name| output::line(&switched("DISABLE", name)))?;
    output::line("and afterwards:")?;
    delete_triggers.iter().try_for_each(|name| output::line(&switched("ENABLE", name)))
}

fn switched(verb: &str, trigger: &str) -> String {
    format!("  ALTER TABLE public.event_store {verb} TRIGGER \"{}\";", trigger.replace('"', "\"\""))
}

fn row(tenant: &TenantDocument) -> Vec<String> {
    let note = if tenant.legal_hold { "legal hold" } else { "" };
    vec![
        output::cell(&tenant.tenant_id),
        tenant.expired.to_string(),
        tenant.purged.to_string(),
        note.to_owned(),
    ]
}

impl RunDocument {
    fn new(summary: PurgeSummary, tenants: Vec<TenantDocument>) -> Self {
        let PurgeSummary { expired, purged, executed, delete_triggers, .. } = summary;
        Self { executed, expired, purged, delete_triggers, tenants }
    }
}

impl From<PurgeProgress> for TenantDocument {
    fn from(progress: PurgeProgress) -> Self {
        let PurgeProgress { tenant_id, expired, purged, legal_hold, finished: _ } = progress;
        Self { tenant_id, expired, purged, legal_hold }
    }
}
