use std::time::Duration;

use partita_proto::v1::event_store_service_server::SERVICE_NAME as EVENT_STORE_SERVICE;
use partita_proto::v1::partition_admin_service_server::SERVICE_NAME as PARTITION_ADMIN_SERVICE;
use partita_store::{Store, StoreError};
use tokio::time::MissedTickBehavior;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::limits::PING_FAILURES_MAX;
use crate::ops::{ProbeState, Probes};

/// The names of `grpc.health.v1` that say whether calls should come here; the empty one stands for the whole server.
const READINESS: [&str; 4] = ["", EVENT_STORE_SERVICE, PARTITION_ADMIN_SERVICE, "readiness"];
/// The names that say that this process need not be ended: whoever gets an answer may know. The database has no part in it.
const LIVENESS: [&str; 2] = ["liveness", "startup"];

/// Tells probes and load balancers whether calls can be served: only while the database answers, and is in a phase that
/// this process may serve in.
pub(crate) struct Health {
    reporter: HealthReporter,
    probes: Probes,
}

impl Health {
    /// Not serving yet: the first ping decides.
    pub(crate) async fn new(reporter: HealthReporter, probes: Probes) -> Self {
        let health = Self { reporter, probes };
        health.report(&LIVENESS, ServingStatus::Serving).await;
        health.report(&READINESS, ServingStatus::NotServing).await;
        health
    }

    /// Pings the store every `interval`, and reports each change, for ever.
    pub(crate) async fn follow(&self, store: &Store, interval: Duration) {
        let mut readiness = Readiness::default();
        let mut ticks = tokio::time::interval(interval);
        // After a ping that took long, the next one keeps its distance.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let ping = store.ping().await;
            let changed = readiness.note(ping.is_ok());
            match (changed, &ping) {
                (Some(true), _) => {
                    tracing::info!("database answers, serving");
                    self.probes.set(ProbeState::Ready);
                    self.report(&READINESS, ServingStatus::Serving).await;
                }
                (Some(false), Err(error)) => {
                    tracing::warn!(ping.failures = PING_FAILURES_MAX, "not serving: {error}");
                    self.probes.set(ProbeState::NotReady(told(error)));
                    self.report(&READINESS, ServingStatus::NotServing).await;
                }
                // The start is over, be the first answer good or bad; and what is in the way may become something else.
                (None, Err(error)) if !readiness.serving => {
                    self.probes.set(ProbeState::NotReady(told(error)));
                }
                (Some(false) | None, _) => {}
            }
        }
    }

    /// Tells everyone who asks or watches that this instance goes away.
    pub(crate) async fn leave(&self) {
        self.probes.set(ProbeState::Leaving);
        self.report(&READINESS, ServingStatus::NotServing).await;
    }

    /// Ends the calls that watch, which have no end of their own and would hold up every drain.
    pub(crate) async fn close(mut self) {
        for name in READINESS.into_iter().chain(LIVENESS) {
            self.reporter.clear_service_status(name).await;
        }
    }

    async fn report(&self, names: &[&str], status: ServingStatus) {
        for name in names {
            self.reporter.set_service_status(*name, status).await;
        }
    }
}

/// What is in the way, for whoever asks a probe.
fn told(error: &StoreError) -> String {
    if let StoreError::Unavailable = error {
        return "the database does not answer".to_owned();
    }
    error.to_string()
}

/// Whether the database answers, with hysteresis: down after [`PING_FAILURES_MAX`] failures in a row, up again
/// after one success.
#[derive(Debug, Default)]
struct Readiness {
    serving: bool,
    failures: u32,
}

impl Readiness {
    /// Takes in one ping; gives the new state when that changed it.
    fn note(&mut self, answered: bool) -> Option<bool> {
        self.failures = if answered { 0 } else { self.failures.saturating_add(1) };
        let serving = answered || (self.serving && self.failures < PING_FAILURES_MAX);
        let changed = serving != self.serving;
        self.serving = serving;
        changed.then_some(serving)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lost_ping_is_forgiven_and_one_answer_is_enough() {
        let mut readiness = Readiness::default();
        let pings = [false, true, false, true, false, false, false, true];
        let changes = pings.map(|answered| readiness.note(answered));
        assert_eq!(changes, [None, Some(true), None, None, None, Some(false), None, Some(true)]);
    }
}
