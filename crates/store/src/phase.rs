use std::sync::atomic::{AtomicU8, Ordering};

use partita_model::{ControlPhase, Phase, PhaseContradiction};
use sqlx::{PgExecutor, PgPool};

use crate::StoreError;
use crate::read::store_error;

/// How many phases a call is tried in: each is left because the control row said another.
pub(crate) const PHASES_MAX: u32 = 4;

/// What a process believes of the phase, for all that it does at once. The control row may have moved on: every statement
/// that leans on the phase says in its own snapshot what the row held, and whoever is told otherwise corrects this cell.
#[derive(Debug)]
pub(crate) struct PhaseCell {
    flag: bool,
    control: AtomicU8,
}

impl PhaseCell {
    pub(crate) fn new(flag: bool, control: ControlPhase) -> Self {
        Self { flag, control: AtomicU8::new(number(control)) }
    }

    /// `DB_PARTITIONS_V1` of this process.
    pub(crate) fn flag(&self) -> bool {
        self.flag
    }

    /// The phase that this process serves in.
    ///
    /// # Errors
    /// When its flag contradicts what the control row last said.
    pub(crate) fn get(&self) -> Result<Phase, PhaseContradiction> {
        Phase::resolve(self.flag, control(self.control.load(Ordering::Acquire)))
    }

    /// The phase in a word, `contradiction` where there is none to serve in.
    pub(crate) fn name(&self) -> String {
        self.get().map_or_else(|_| "contradiction".to_owned(), |phase| phase.to_string())
    }

    /// Takes in what the control row says, and gives the phase that follows; a change is logged once.
    pub(crate) fn learn(&self, said: ControlPhase) -> Result<Phase, PhaseContradiction> {
        let before = control(self.control.swap(number(said), Ordering::AcqRel));
        let phase = Phase::resolve(self.flag, said);
        if before != said {
            match phase {
                Ok(phase) => {
                    tracing::info!(phase.from = %before, phase.to = %said, %phase, "the phase changed");
                }
                Err(contradiction) => {
                    tracing::error!(phase.from = %before, phase.to = %said, "not serving: {contradiction}");
                }
            }
        }
        phase
    }

    /// The phase that a call is to be served in; a contradiction that was mended meanwhile is over.
    pub(crate) async fn current(&self, pool: &PgPool) -> Result<Phase, StoreError> {
        match self.get() {
            Ok(phase) => Ok(phase),
            Err(_) => {
                let asked = self.ask(pool).await.map_err(|error| store_error(&error))?;
                asked.map_err(StoreError::PhaseContradiction)
            }
        }
    }

    /// Asks for the phase.
    pub(crate) async fn ask(
        &self,
        executor: impl PgExecutor<'_>,
    ) -> sqlx::Result<Result<Phase, PhaseContradiction>> {
        let said = sqlx::query_file_scalar!("sql/phase/find_phase.sql").fetch_one(executor).await?;
        Ok(self.learn(parse(&said)))
    }
}

/// The control row's text; a phase of a newer release is one that contradicts every flag.
pub(crate) fn parse(said: &str) -> ControlPhase {
    ControlPhase::parse(said).unwrap_or(ControlPhase::Unknown)
}

const PHASES: [ControlPhase; 5] = [
    ControlPhase::Open,
    ControlPhase::Fenced,
    ControlPhase::Restoring,
    ControlPhase::Finalized,
    ControlPhase::Unknown,
];

fn number(phase: ControlPhase) -> u8 {
    match phase {
        ControlPhase::Open => 0,
        ControlPhase::Fenced => 1,
        ControlPhase::Restoring => 2,
        ControlPhase::Finalized => 3,
        ControlPhase::Unknown => 4,
    }
}

fn control(number: u8) -> ControlPhase {
    PHASES.get(usize::from(number)).copied().unwrap_or(ControlPhase::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_comes_back_as_it_was_put_in() {
        for phase in PHASES {
            assert_eq!(control(number(phase)), phase);
        }
    }

    #[test]
    fn a_process_without_the_flag_serves_again_when_the_phase_is_open_again() {
        let cell = PhaseCell::new(false, ControlPhase::Open);
        assert_eq!(cell.get(), Ok(Phase::Legacy));
        assert_eq!(cell.learn(ControlPhase::Fenced).unwrap_err().control, ControlPhase::Fenced);
        assert_eq!(cell.get().unwrap_err().control, ControlPhase::Fenced);
        assert_eq!(cell.learn(ControlPhase::Open), Ok(Phase::Legacy));
        assert_eq!(cell.get(), Ok(Phase::Legacy));
    }
}
