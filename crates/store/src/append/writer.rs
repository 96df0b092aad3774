use std::sync::Arc;
use std::time::Duration;

use partita_model::{Append, Phase, PhaseContradiction};
use sqlx::{Connection, PgConnection};
use tokio::time::Instant;

use super::batch::Verdict;
use super::cache::Cache;
use super::doubt::{self, Doubt, Fate};
use super::refusal::{Failure, before_commit};
use super::session::{Opener, Session, SessionId};
use super::transaction;
use crate::connect::lane_options;
use crate::phase::{PHASES_MAX, PhaseCell};
#[cfg(feature = "planted-bugs")]
use crate::planted;
use crate::{StoreConfig, StoreError};

/// What a lane writes with: its connection, which comes and goes, and what it remembers.
pub(super) struct Writer {
    opener: Opener,
    /// How long the fate of a commit in doubt is looked for.
    doubt_timeout: Duration,
    /// Whether row security may bind the login.
    names_tenants: bool,
    session: Option<Session>,
    cache: Cache,
    /// The phase that the cache was filled in.
    cached_in: Option<Phase>,
    phase: Arc<PhaseCell>,
    months_ahead: u32,
}

impl Writer {
    pub(super) fn new(config: &StoreConfig, names_tenants: bool, phase: Arc<PhaseCell>) -> Self {
        let options = lane_options(&config.database_url, phase.flag(), config.lanes.lock_timeout);
        Self {
            opener: Opener::new(options, config.connect_timeout),
            doubt_timeout: config.lanes.doubt_timeout,
            names_tenants,
            session: None,
            cache: Cache::default(),
            cached_in: None,
            phase,
            months_ahead: config.months_ahead,
        }
    }

    /// Commits a batch as one transaction. One whose connection turns out to be dead is run again on a new one: the
    /// database may have restarted since the last batch.
    ///
    /// # Errors
    /// Nothing is recorded, unless the failure says that it is in doubt.
    pub(super) async fn commit(&mut self, appends: &[&Append]) -> Result<Vec<Verdict>, Failure> {
        let reused = self.session.is_some();
        let outcome = match self.transact(appends).await {
            Err(Failure::Unavailable) if reused => self.transact(appends).await,
            outcome => outcome,
        };
        if outcome.is_err() {
            // What is remembered may be why: look before the next attempt.
            self.cache.distrust(appends, Instant::now());
        }
        outcome
    }

    /// Whether a unique index of the legacy table is over event ids alone; one that cannot be asked about is not.
    pub(super) async fn is_index_of_ids(&mut self, name: &str) -> bool {
        let Some(session) = &mut self.session else { return false };
        let asked = sqlx::query_file_scalar!("sql/append/is_index_of_ids.sql", name);
        asked.fetch_one(&mut session.connection).await.unwrap_or(false)
    }

    pub(super) async fn close(self) {
        if let Some(session) = self.session
            && let Err(error) = session.connection.close().await
        {
            tracing::debug!(%error, "lane connection closed with an error");
        }
    }

    async fn transact(&mut self, appends: &[&Append]) -> Result<Vec<Verdict>, Failure> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.opener.open().await?,
        };
        session.wake().await?;
        let outcome = self.run(&mut session, appends).await;
        match outcome {
            #[cfg(feature = "planted-bugs")]
            Err(Failure::InDoubt(doubt)) if planted::has(planted::Bug::AcknowledgeBeforeCommit) => {
                Ok(doubt.verdicts)
            }
            Err(Failure::InDoubt(doubt)) => self.resolve(session.id, doubt, appends).await,
            // Only a session that is known to be whole is used again.
            Err(Failure::Unavailable | Failure::Defect) => outcome,
            Ok(_)
            | Err(
                Failure::Race { .. }
                | Failure::Busy
                | Failure::NoPartition
                | Failure::OtherPhase(_)
                | Failure::Fenced
                | Failure::Refused(_)
                | Failure::Forbidden(_),
            ) => {
                self.session = Some(session);
                outcome
            }
        }
    }

    /// In the phase that the database is in; all are told where this process must not serve in it.
    async fn run(&mut self, session: &mut Session, appends: &[&Append]) -> Result<Vec<Verdict>, Failure> {
        if self.names_tenants {
            session.name_tenants(appends.iter().map(|append| append.tenant())).await?;
        }
        let connection = &mut session.connection;
        let mut believed = self.phase.get();
        for _ in 0..PHASES_MAX {
            let phase = match believed {
                Ok(phase) => phase,
                // What is remembered may be mended by now.
                Err(_) => match self.ask_phase(connection).await? {
                    Ok(phase) => phase,
                    Err(contradiction) => {
                        let refused = || Verdict::Answer(Err(StoreError::PhaseContradiction(contradiction)));
                        return Ok(appends.iter().map(|_| refused()).collect());
                    }
                },
            };
            match self.run_in(connection, phase, appends).await {
                Err(Failure::OtherPhase(said)) => believed = self.phase.learn(said),
                Err(Failure::Fenced) => believed = self.ask_phase(connection).await?,
                outcome => return outcome,
            }
        }
        Err(Failure::Fenced)
    }

    async fn ask_phase(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Result<Phase, PhaseContradiction>, Failure> {
        self.phase.ask(connection).await.map_err(|error| before_commit(&error))
    }

    /// From memory where that is enough; else with a look.
    async fn run_in(
        &mut self,
        connection: &mut PgConnection,
        phase: Phase,
        appends: &[&Append],
    ) -> Result<Vec<Verdict>, Failure> {
        if self.cached_in != Some(phase) {
            // While legacy is an arbiter, others may move streams without a word to the tenant's row; its unique index
            // refuses what is decided without them. Past that phase nothing would.
            self.cache = Cache::default();
            self.cached_in = Some(phase);
        }
        let (cache, months_ahead) = (&mut self.cache, self.months_ahead);
        if phase.writes_partitioned() {
            match transaction::run_remembered(connection, cache, phase, months_ahead, appends).await {
                Ok(Some(done)) => return Ok(done),
                Ok(None) => {}
                // An event that is recorded already, or another writer: a look tells which.
                Err(Failure::Race { .. }) => cache.distrust(appends, Instant::now()),
                Err(failure) => return Err(failure),
            }
        }
        transaction::run(connection, cache, phase, months_ahead, appends).await
    }

    /// Finds out what became of a transaction whose commit was not answered; one that came to nothing is run again.
    async fn resolve(
        &mut self,
        lost: SessionId,
        doubt: Box<Doubt>,
        appends: &[&Append],
    ) -> Result<Vec<Verdict>, Failure> {
        self.cache = Cache::default();
        let Some(witness) = &doubt.witness else { return Ok(doubt.verdicts) };
        let (fate, session) =
            doubt::resolve(&self.opener, self.doubt_timeout, self.names_tenants, lost, witness).await;
        match (fate, session) {
            (Fate::Committed, session) => {
                self.session = session;
                Ok(doubt.verdicts)
            }
            (Fate::RolledBack, Some(mut session)) => {
                let outcome = self.run(&mut session, appends).await;
                if outcome.is_ok() {
                    self.session = Some(session);
                }
                outcome
            }
            (Fate::RolledBack, None) => Err(Failure::Unavailable),
            (Fate::Unknown, _) => Err(Failure::InDoubt(doubt)),
        }
    }
}
