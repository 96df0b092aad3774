use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// A statement that a connection can be cut at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    /// The one that records a batch and is a transaction by itself.
    Record,
    /// The COMMIT of a transaction of several statements.
    Commit,
}

/// When the connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Before PostgreSQL gets the statement.
    Before,
    /// When PostgreSQL has got one half of the statement.
    Amid,
    /// When PostgreSQL has got all of the statement; nobody waits for its answer.
    During,
    /// When PostgreSQL has answered, and one half of the answer was passed on.
    AmidAnswer,
    /// When PostgreSQL has answered; the answer is lost.
    After,
}

/// What is to happen to the connections of a proxy.
#[derive(Debug)]
pub(crate) struct Plan {
    orders: Mutex<Orders>,
    /// Whether bytes are held back.
    held: watch::Sender<bool>,
    /// How many pieces were kept waiting.
    slowed: AtomicU64,
}

#[derive(Debug, Default)]
struct Orders {
    armed: Option<(Cut, Option<Statement>)>,
    closes_after_cut: bool,
    closed: bool,
    delay: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self { orders: Mutex::default(), held: watch::Sender::new(false), slowed: AtomicU64::new(0) }
    }
}

impl Plan {
    /// Arms a cut at a statement, or at whichever of them comes first.
    pub(crate) fn arm(&self, cut: Cut, statement: Option<Statement>, closes_after_cut: bool) {
        let mut orders = self.orders();
        orders.armed = Some((cut, statement));
        orders.closes_after_cut = closes_after_cut;
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.orders().armed.is_some()
    }

    /// Takes the cut that is armed for this statement.
    pub(crate) fn take(&self, statement: Statement) -> Option<Cut> {
        let mut orders = self.orders();
        let meant = |armed: &mut (Cut, Option<Statement>)| armed.1.is_none_or(|wanted| wanted == statement);
        let (cut, _) = orders.armed.take_if(meant)?;
        orders.closed = orders.closes_after_cut;
        Some(cut)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.orders().closed
    }

    pub(crate) fn delay(&self, delay: Duration) {
        self.orders().delay = delay;
    }

    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// Lets everything through at once.
    pub(crate) fn clear(&self) {
        *self.orders() = Orders::default();
        self.hold(false);
    }

    /// Waits as long as what is carried is to wait.
    pub(crate) async fn pass(&self) {
        let delay = self.orders().delay;
        let mut held = self.held.subscribe();
        if !delay.is_zero() || *held.borrow() {
            self.slowed.fetch_add(1, Ordering::Relaxed);
        }
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        // The sender lives as long as the plan does.
        drop(held.wait_for(|held| !held).await);
    }

    pub(crate) fn slowed(&self) -> u64 {
        self.slowed.load(Ordering::Relaxed)
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
