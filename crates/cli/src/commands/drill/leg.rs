//! The way, leg by leg.

/// A part of the way: what the operator does in it, and how the services are set meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leg {
    /// Everybody writes the legacy table.
    Legacy,
    /// Two services of three have the flag.
    Dual,
    /// History is copied while all of that goes on.
    Backfill,
    /// All services have the flag; what the foreign program wrote is copied, and the tables are proved equal.
    Verify,
    /// The legacy table refuses whoever does not write both.
    Fence,
    /// What came last is copied, and all is proved equal again.
    Reverify,
    /// The legacy table is left behind.
    Finalize,
    /// It is brought back.
    Restore,
    /// Others write to it again.
    Open,
    /// No service has the flag any more.
    FlagOff,
}

/// What is ended by SIGKILL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kill {
    /// A service.
    Service,
    /// The backend of a session of a service: PostgreSQL ends all others and recovers.
    Backend,
    /// PostgreSQL itself.
    Postmaster,
}

impl Leg {
    pub(super) const ALL: [Self; 10] = [
        Self::Legacy,
        Self::Dual,
        Self::Backfill,
        Self::Verify,
        Self::Fence,
        Self::Reverify,
        Self::Finalize,
        Self::Restore,
        Self::Open,
        Self::FlagOff,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Dual => "dual",
            Self::Backfill => "backfill",
            Self::Verify => "verify",
            Self::Fence => "fence",
            Self::Reverify => "verify again",
            Self::Finalize => "finalize",
            Self::Restore => "restore",
            Self::Open => "open",
            Self::FlagOff => "flag off",
        }
    }

    /// `DB_PARTITIONS_V1` of each service.
    pub(super) fn flags(self) -> [bool; 3] {
        match self {
            Self::Legacy | Self::FlagOff => [false, false, false],
            Self::Dual | Self::Backfill | Self::Open => [true, true, false],
            Self::Verify | Self::Fence | Self::Reverify | Self::Finalize | Self::Restore => {
                [true, true, true]
            }
        }
    }

    /// What is killed, in turn, until the leg is over; each at least once.
    pub(super) fn kills(self) -> &'static [Kill] {
        match self {
            Self::Legacy | Self::Fence | Self::Open => &[Kill::Service],
            Self::Dual => &[Kill::Backend],
            Self::Backfill => &[Kill::Service, Kill::Postmaster],
            Self::Verify => &[Kill::Backend, Kill::Service],
            Self::Reverify => &[Kill::Service, Kill::Backend],
            Self::Finalize => &[Kill::Postmaster, Kill::Service],
            Self::Restore => &[Kill::Service, Kill::Backend],
            Self::FlagOff => &[Kill::Postmaster],
        }
    }
}
