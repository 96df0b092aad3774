use partita_migration::{Migration, PlannedMonth};
use serde::Serialize;

use super::failure;
use crate::failure::Failure;
use crate::output::{self, Format};

#[derive(Debug, Serialize)]
struct MonthDocument {
    tenant_id: String,
    month: String,
    rows_estimated: u64,
    below_floor: bool,
    state: Option<String>,
    rows_left: Option<u64>,
}

pub(super) async fn run(migration: &Migration, format: Format) -> Result<(), Failure> {
    let plan = migration.plan().await.map_err(|error| failure("cannot plan", &error))?;
    let months: Vec<_> = plan.months.into_iter().map(MonthDocument::from).collect();
    if format == Format::Json {
        return output::json(&months);
    }
    output::table(&["tenant", "month", "#rows (estimate)", "note"], months.iter().map(row).collect())?;
    let rows: u64 = months.iter().filter(|month| !month.below_floor).map(|month| month.rows_estimated).sum();
    output::line(&format!("{} months, about {rows} rows from the floor on", months.len()))
}

fn row(month: &MonthDocument) -> Vec<String> {
    let state = match (&month.state, month.rows_left) {
        (Some(state), Some(left)) if left > 0 => format!("{state}, {left} rows left"),
        (Some(state), _) => state.clone(),
        (None, _) => "not begun".to_owned(),
    };
    let note = if month.below_floor { format!("below the floor, heads only; {state}") } else { state };
    vec![output::cell(&month.tenant_id), month.month.clone(), month.rows_estimated.to_string(), note]
}

impl From<PlannedMonth> for MonthDocument {
    fn from(month: PlannedMonth) -> Self {
        Self {
            tenant_id: month.tenant_id,
            month: month.month.to_string(),
            rows_estimated: month.rows_estimated,
            below_floor: month.is_expired,
            state: month.state,
            rows_left: month.rows_left,
        }
    }
}
