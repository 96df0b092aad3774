use partita_model::{TenantId, Timestamp};

use super::{ActionKind, MaintenanceRequest, PartitionAction, Partitions, integer};

/// A step that the database's plan asks for.
#[derive(Debug)]
pub(super) enum Step {
    /// The tenant's own table; it comes with its first month.
    CreateTenant,
    /// A leaf.
    CreateMonth(PartitionAction),
    /// A detach that an interrupted run left pending.
    Finalize(PartitionAction),
    /// The floor.
    RaiseFloor { action: PartitionAction, to: Timestamp },
    /// A leaf wholly below the floor.
    DropMonth(PartitionAction),
}

impl Step {
    /// Where the step comes. The floor comes before whatever waits for other sessions: a report that holds up a detach for
    /// hours does not keep readable what has expired.
    fn place(&self) -> u8 {
        match self {
            Self::CreateTenant | Self::CreateMonth(_) => 1,
            Self::RaiseFloor { .. } => 2,
            Self::Finalize(_) | Self::DropMonth(_) => 3,
        }
    }

    /// Whether the request wants steps of this kind.
    pub(super) fn is_wanted(&self, request: &MaintenanceRequest) -> bool {
        match self {
            Self::CreateTenant | Self::CreateMonth(_) => request.create,
            Self::Finalize(_) | Self::RaiseFloor { .. } | Self::DropMonth(_) => request.detach,
        }
    }
}

impl Partitions {
    /// What there is to do, in order.
    pub(super) async fn plan(
        &self,
        tenant: &TenantId,
        request: &MaintenanceRequest,
    ) -> sqlx::Result<Vec<Step>> {
        let rows = sqlx::query_file!(
            "sql/partitions/plan_maintenance.sql",
            tenant.as_str(),
            integer(request.months_ahead),
            integer(request.retention_months)
        )
        .fetch_all(&self.pool)
        .await?;
        let steps = rows
            .into_iter()
            .map(|row| {
                let range_end = row.range_end.map(Timestamp::from_datetime);
                let action = |kind| PartitionAction {
                    kind,
                    partition_name: row.partition_name.clone().unwrap_or_default(),
                    range_start: row.range_start.map(Timestamp::from_datetime),
                    range_end,
                };
                match (row.action.as_str(), range_end) {
                    ("create_tenant", _) => Ok(Step::CreateTenant),
                    ("create_month", _) => Ok(Step::CreateMonth(action(ActionKind::Created))),
                    ("finalize", _) => Ok(Step::Finalize(action(ActionKind::Detached))),
                    ("raise_floor", Some(to)) => {
                        Ok(Step::RaiseFloor { action: action(ActionKind::FloorRaised), to })
                    }
                    ("drop_month", _) => Ok(Step::DropMonth(action(ActionKind::Dropped))),
                    (unknown, _) => {
                        let message = format!("event_store_partition_plan: unknown action `{unknown}`");
                        Err(sqlx::Error::Decode(message.into()))
                    }
                }
            })
            .collect::<sqlx::Result<Vec<Step>>>();
        let mut steps = steps?;
        steps.sort_by_key(Step::place);
        Ok(steps)
    }
}

/// What the step raises the floor to, if that is what it does.
pub(super) fn raised_to(step: &Step) -> Option<Timestamp> {
    match step {
        Step::RaiseFloor { to, .. } => Some(*to),
        Step::CreateTenant | Step::CreateMonth(_) | Step::Finalize(_) | Step::DropMonth(_) => None,
    }
}
