use std::sync::Arc;

use partita_store::metrics::READY;
use tokio::sync::watch;

/// What this process says of itself to whoever asks. Clones share it.
#[derive(Debug, Clone)]
pub struct Probes(Arc<watch::Sender<ProbeState>>);

/// Where a process stands between its start and its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeState {
    /// It does not serve yet: this is in the way, and what mends it.
    Starting(String),
    /// It serves.
    Ready,
    /// It would serve, but for this.
    NotReady(String),
    /// It goes away.
    Leaving,
}

impl Default for Probes {
    fn default() -> Self {
        let (state, _) = watch::channel(ProbeState::Starting("starting".to_owned()));
        READY.set(0.0, []);
        Self(Arc::new(state))
    }
}

impl Probes {
    /// Tells everyone. A process that goes away stays so.
    pub fn set(&self, state: ProbeState) {
        let changed = self.0.send_if_modified(|now| {
            let changes = *now != ProbeState::Leaving && *now != state;
            if changes {
                *now = state;
            }
            changes
        });
        if changed {
            READY.set(if self.get() == ProbeState::Ready { 1.0 } else { 0.0 }, []);
        }
    }

    /// Where the process stands now.
    pub fn get(&self) -> ProbeState {
        self.0.borrow().clone()
    }
}

impl ProbeState {
    /// Whether the start is over, for better or worse.
    pub fn is_started(&self) -> bool {
        match self {
            Self::Starting(_) => false,
            Self::Ready | Self::NotReady(_) | Self::Leaving => true,
        }
    }

    /// Whether calls should come here.
    pub fn is_ready(&self) -> bool {
        match self {
            Self::Ready => true,
            Self::Starting(_) | Self::NotReady(_) | Self::Leaving => false,
        }
    }

    /// What stands in the way, for people.
    pub fn text(&self) -> &str {
        match self {
            Self::Ready => "ok",
            Self::Starting(why) | Self::NotReady(why) => why,
            Self::Leaving => "shutting down",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_leaves_does_not_come_back() {
        let probes = Probes::default();
        assert!(!probes.get().is_started());
        probes.set(ProbeState::Ready);
        assert!(probes.get().is_ready());
        probes.set(ProbeState::Leaving);
        probes.set(ProbeState::Ready);
        assert_eq!(probes.get(), ProbeState::Leaving);
        assert!(probes.get().is_started());
    }
}
