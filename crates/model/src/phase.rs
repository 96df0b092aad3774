use std::fmt;

/// Which tables a process writes and reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// `DB_PARTITIONS_V1` is off: legacy alone.
    Legacy,
    /// Both tables are written in one transaction; reads unite them.
    Dual,
}

/// What the control row in the database says of the migration, for all processes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlPhase {
    /// Each process's `DB_PARTITIONS_V1` decides between `legacy` and `dual`.
    Open,
    /// Legacy refuses a writer that does not write both tables.
    Fenced,
    /// Only the partitioned table is written and read.
    Finalized,
}

/// The process and the database disagree, or the database is further than this binary knows how to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseContradiction {
    /// What the control row says.
    pub control: ControlPhase,
    /// Whether `DB_PARTITIONS_V1` is on in this process.
    pub flag: bool,
}

impl Phase {
    /// The phase of a process: the environment permits, the control row decides.
    ///
    /// # Errors
    /// When the two contradict each other; the process must not serve then.
    pub fn resolve(flag: bool, control: ControlPhase) -> Result<Self, PhaseContradiction> {
        match (control, flag) {
            (ControlPhase::Open, false) => Ok(Self::Legacy),
            (ControlPhase::Open, true) => Ok(Self::Dual),
            (ControlPhase::Fenced | ControlPhase::Finalized, _) => Err(PhaseContradiction { control, flag }),
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Legacy => "legacy",
            Self::Dual => "dual",
        })
    }
}

impl ControlPhase {
    /// The control row's text.
    ///
    /// # Errors
    /// Gives back a text that this binary does not know.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "open" => Ok(Self::Open),
            "fenced" => Ok(Self::Fenced),
            "finalized" => Ok(Self::Finalized),
            unknown => Err(unknown.to_owned()),
        }
    }
}

impl fmt::Display for ControlPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Fenced => "fenced",
            Self::Finalized => "finalized",
        })
    }
}

impl fmt::Display for PhaseContradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = u8::from(self.flag);
        write!(
            f,
            "the database is in phase `{}`, which this release does not serve (DB_PARTITIONS_V1={flag}): run \
             the release that set this phase",
            self.control
        )
    }
}

impl std::error::Error for PhaseContradiction {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_decides_only_while_the_control_row_is_open() {
        assert_eq!(Phase::resolve(false, ControlPhase::Open), Ok(Phase::Legacy));
        assert_eq!(Phase::resolve(true, ControlPhase::Open), Ok(Phase::Dual));
        for control in [ControlPhase::Fenced, ControlPhase::Finalized] {
            let refused = Phase::resolve(false, control).unwrap_err().to_string();
            assert!(refused.contains(&control.to_string()) && refused.contains("DB_PARTITIONS_V1=0"));
        }
    }
}
