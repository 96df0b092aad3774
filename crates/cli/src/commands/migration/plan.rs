use clap::Args;
use partita_proto::v1::plan_migration_response::Plan as Piece;
use partita_proto::v1::{PlanMigrationRequest, PlanSummary, PlannedMonth, backfill_unit};
use serde::Serialize;

use crate::client;
use crate::commands::migration::document::word;
use crate::commands::migration::target::Session;
use crate::commands::migration::words::number;
use crate::failure::Failure;
use crate::output::{self, Format};

const TENANT_TITLES: [&str; 6] = ["tenant", "#months", "from", "to", "#expired", "#rows (estimate)"];
const MONTH_TITLES: [&str; 5] = ["month", "#rows (estimate)", "expired", "copied", "#left"];

/// Tell what a backfill would look at; changes nothing.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// One tenant, month by month; without it all of them, a line each
    #[arg(long)]
    tenant: Option<String>,
}

/// The whole plan, for programs.
#[derive(Debug, Serialize)]
struct PlanDocument {
    months: i64,
    months_expired: i64,
    rows_estimated: i64,
    tenants: Vec<TenantDocument>,
}

#[derive(Debug, Serialize)]
struct TenantDocument {
    tenant_id: String,
    months: Vec<MonthDocument>,
}

#[derive(Debug, Serialize)]
struct MonthDocument {
    month: String,
    rows_estimated: i64,
    expired: bool,
    state: Option<String>,
    rows_left: Option<i64>,
}

pub(super) async fn run(args: PlanArgs, session: &mut Session, format: Format) -> Result<(), Failure> {
    let broken = |status| client::failure("cannot plan", status);
    let is_one = args.tenant.is_some();
    let request = PlanMigrationRequest { tenant_id: args.tenant.unwrap_or_default() };
    let mut pieces = session.client.plan_migration(request).await.map_err(broken)?.into_inner();
    let mut tenants: Vec<TenantDocument> = Vec::new();
    let mut summary = None;
    while let Some(message) = pieces.message().await.map_err(broken)? {
        match message.plan {
            Some(Piece::Tenant(piece)) => {
                let months = piece.months.into_iter().map(MonthDocument::from);
                match tenants.last_mut().filter(|last| last.tenant_id == piece.tenant_id) {
                    Some(last) => last.months.extend(months),
                    None => {
                        tenants.push(TenantDocument { tenant_id: piece.tenant_id, months: months.collect() });
                    }
                }
            }
            Some(Piece::Summary(last)) => summary = Some(last),
            None => {}
        }
    }
    let summary = summary.ok_or_else(|| Failure::internal("the server's plan was cut short"))?;
    let PlanSummary { tenants: _, months, months_expired, rows_estimated } = summary;
    match format {
        Format::Json => output::json(&PlanDocument { months, months_expired, rows_estimated, tenants }),
        Format::Table => {
            match tenants.first().filter(|_| is_one) {
                Some(tenant) => {
                    output::table(&MONTH_TITLES, tenant.months.iter().map(MonthDocument::row).collect())?;
                }
                None => output::table(&TENANT_TITLES, tenants.iter().map(TenantDocument::row).collect())?,
            }
            output::line(&format!(
                "tenants {}, months {}, of them expired {}, rows to look at about {}",
                number(summary.tenants),
                number(months),
                number(months_expired),
                number(rows_estimated)
            ))
        }
    }
}

impl TenantDocument {
    fn row(&self) -> Vec<String> {
        let edge = |month: Option<&MonthDocument>| month.map(|it| it.month.clone()).unwrap_or_default();
        let expired = self.months.iter().filter(|month| month.expired).count();
        let live = self.months.iter().filter(|month| !month.expired);
        vec![
            output::cell(&self.tenant_id),
            number(self.months.len() as i64),
            // Newest first.
            edge(self.months.last()),
            edge(self.months.first()),
            number(expired as i64),
            number(live.map(|month| month.rows_estimated).sum()),
        ]
    }
}

impl MonthDocument {
    fn row(&self) -> Vec<String> {
        vec![
            self.month.clone(),
            number(self.rows_estimated),
            if self.expired { "yes" } else { "" }.to_owned(),
            self.state.clone().unwrap_or_else(|| "never".to_owned()),
            self.rows_left.map(number).unwrap_or_default(),
        ]
    }
}

impl From<PlannedMonth> for MonthDocument {
    fn from(month: PlannedMonth) -> Self {
        let state = Some(month.state()).filter(|state| *state != backfill_unit::State::Unspecified);
        Self {
            state: state.map(|state| word(state.as_str_name(), "STATE_")),
            month: month.month,
            rows_estimated: month.rows_estimated,
            expired: month.expired,
            rows_left: month.rows_left,
        }
    }
}
