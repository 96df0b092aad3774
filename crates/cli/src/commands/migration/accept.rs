use clap::Args;
use partita_proto::v1::{AcceptQuarantinedRequest, AcceptQuarantinedResponse};
use serde::Serialize;

use crate::client;
use crate::commands::migration::target::Session;
use crate::commands::migration::words::number;
use crate::failure::Failure;
use crate::output::{self, Format};

/// Leave behind, in the partitioned table, the rows that a restore could not copy back.
///
/// They are read as ever by processes with DB_PARTITIONS_V1=1; whoever reads the legacy table alone never sees them.
/// `partita migration mismatches` lists them first.
#[derive(Debug, Args)]
pub(crate) struct AcceptArgs {
    /// One tenant; without it all of them
    #[arg(long)]
    tenant: Option<String>,
    /// Why, for the record
    #[arg(long)]
    reason: String,
    /// Do it; without this flag it is only told how many rows it would be
    #[arg(long)]
    execute: bool,
}

#[derive(Debug, Serialize)]
struct AcceptedDocument {
    validate_only: bool,
    rows: i64,
}

pub(super) async fn run(args: AcceptArgs, session: &mut Session, format: Format) -> Result<(), Failure> {
    let AcceptArgs { tenant, reason, execute } = args;
    let request = AcceptQuarantinedRequest {
        tenant_id: tenant.unwrap_or_default(),
        validate_only: !execute,
        user_id: session.user.clone(),
        reason,
    };
    let answer = session.client.accept_quarantined(request).await;
    let accepted = answer.map_err(|status| client::failure("nothing was accepted", status))?.into_inner();
    match format {
        Format::Json => {
            let AcceptQuarantinedResponse { rows, validate_only } = accepted;
            output::json(&AcceptedDocument { validate_only, rows })
        }
        Format::Table => told(&accepted).iter().try_for_each(|line| output::line(line)),
    }
}

fn told(accepted: &AcceptQuarantinedResponse) -> Vec<String> {
    let rows = number(accepted.rows);
    match (accepted.rows, accepted.validate_only) {
        (0, _) => vec!["no row waits for a decision".to_owned()],
        (_, true) => vec![
            format!("{rows} rows would stay in event_store_partitioned alone"),
            "nothing was done: add --execute to do it".to_owned(),
        ],
        (_, false) => vec![
            format!("{rows} rows stay in event_store_partitioned alone"),
            "then `partita migration restore --execute` ends without them".to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_done_is_not_told_as_done() {
        let line = |rows, validate_only| told(&AcceptQuarantinedResponse { rows, validate_only }).join("; ");
        assert!(line(1_200, true).starts_with("1,200 rows would stay"));
        assert!(line(1_200, true).contains("add --execute"));
        assert!(line(2, false).starts_with("2 rows stay"));
        assert_eq!(line(0, false), "no row waits for a decision");
    }
}
