use std::fmt;

/// Which tables a process writes and reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// `DB_PARTITIONS_V1` is off: legacy alone.
    Legacy,
    /// Both tables are written in one transaction; reads unite them.
    Dual,
    /// As `Dual`, and legacy refuses everybody else: what is proved equal once stays equal, and is read from the
    /// partitioned table alone.
    Fenced,
    /// Both tables are written again, while legacy is filled up with what it missed; the partitioned table is read.
    Restoring,
    /// The partitioned table alone.
    Finalized,
}

/// What the control row in the database says of the migration, for all processes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlPhase {
    /// Each process's `DB_PARTITIONS_V1` decides between `legacy` and `dual`.
    Open,
    /// Legacy refuses a writer that does not write both tables.
    Fenced,
    /// The way back from `Finalized`: both tables are written, legacy is not whole yet.
    Restoring,
    /// Only the partitioned table is written and read.
    Finalized,
    /// A phase that this binary does not know.
    Unknown,
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
            (ControlPhase::Fenced, true) => Ok(Self::Fenced),
            (ControlPhase::Restoring, true) => Ok(Self::Restoring),
            (ControlPhase::Finalized, true) => Ok(Self::Finalized),
            (ControlPhase::Fenced | ControlPhase::Restoring | ControlPhase::Finalized, false)
            | (ControlPhase::Unknown, _) => Err(PhaseContradiction { control, flag }),
        }
    }

    /// What the control row says in this phase.
    pub fn control(self) -> ControlPhase {
        match self {
            Self::Legacy | Self::Dual => ControlPhase::Open,
            Self::Fenced => ControlPhase::Fenced,
            Self::Restoring => ControlPhase::Restoring,
            Self::Finalized => ControlPhase::Finalized,
        }
    }

    /// Whether an append writes the legacy table.
    pub fn writes_legacy(self) -> bool {
        match self {
            Self::Legacy | Self::Dual | Self::Fenced | Self::Restoring => true,
            Self::Finalized => false,
        }
    }

    /// Whether an append writes the partitioned table, and so draws positions.
    pub fn writes_partitioned(self) -> bool {
        match self {
            Self::Legacy => false,
            Self::Dual | Self::Fenced | Self::Restoring | Self::Finalized => true,
        }
    }

    /// Whether the legacy table holds every event, and so decides what is recorded and where streams stand.
    pub fn legacy_is_whole(self) -> bool {
        self.control().legacy_is_whole()
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Legacy => "legacy",
            Self::Dual => "dual",
            Self::Fenced => "fenced",
            Self::Restoring => "restoring",
            Self::Finalized => "finalized",
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
            "restoring" => Ok(Self::Restoring),
            "finalized" => Ok(Self::Finalized),
            unknown => Err(unknown.to_owned()),
        }
    }

    /// Whether the legacy table holds every event.
    pub fn legacy_is_whole(self) -> bool {
        match self {
            Self::Open | Self::Fenced => true,
            Self::Restoring | Self::Finalized | Self::Unknown => false,
        }
    }
}

impl fmt::Display for ControlPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Fenced => "fenced",
            Self::Restoring => "restoring",
            Self::Finalized => "finalized",
            Self::Unknown => "unknown",
        })
    }
}

impl fmt::Display for PhaseContradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (control, flag) = (self.control, u8::from(self.flag));
        let other = match control {
            ControlPhase::Open => "start it anew",
            ControlPhase::Fenced => "or take the fence down with `partita migration unfence`",
            ControlPhase::Restoring => "or let `partita migration restore` come to its end",
            ControlPhase::Finalized => "or bring the legacy table back with `partita migration restore`",
            ControlPhase::Unknown => {
                return f.write_str(
                    "the database is in a phase that this release does not know: run the release that set it",
                );
            }
        };
        write!(
            f,
            "the database is in phase `{control}`, this process has DB_PARTITIONS_V1={flag}: \
             set DB_PARTITIONS_V1=1, {other}"
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
        for control in [ControlPhase::Fenced, ControlPhase::Restoring, ControlPhase::Finalized] {
            assert_eq!(Phase::resolve(true, control).unwrap().control(), control);
            let refused = Phase::resolve(false, control).unwrap_err().to_string();
            assert!(
                refused.contains(&format!("phase `{control}`")) && refused.contains("DB_PARTITIONS_V1=0")
            );
            assert!(refused.contains("set DB_PARTITIONS_V1=1") && refused.contains("partita migration"));
        }
    }

    #[test]
    fn a_phase_of_a_newer_release_is_not_served_whatever_the_flag() {
        assert_eq!(ControlPhase::parse("molten"), Err("molten".to_owned()));
        for flag in [false, true] {
            let refused = Phase::resolve(flag, ControlPhase::Unknown).unwrap_err().to_string();
            assert!(refused.contains("run the release that set it"), "{refused}");
        }
    }
}
