//! What callers do to their own calls.

use std::sync::atomic::Ordering;

use partita_proof::within;

use crate::plan::Dice;
use crate::stage::{POLL_INTERVAL, SETTLE_LIMIT, Stage};

/// Lets callers cancel, or hurry, so many of a thousand calls, until some had no answer in time. Gives how many.
pub(super) async fn give_up(
    stage: &mut Stage<'_>,
    dice: &mut Dice,
    cancelled_per_mille: u32,
    hurried_per_mille: u32,
) -> anyhow::Result<u64> {
    let given_up = || stage.load.counters().given_up.load(Ordering::Relaxed);
    let before = given_up();
    stage.load.mood().set(cancelled_per_mille, hurried_per_mille);
    stage.wait(dice, 1_500..2_500).await;
    let some = async {
        while given_up() == before {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    let some = within(SETTLE_LIMIT, "a caller that has no answer in time", some).await;
    stage.load.mood().calm();
    some?;
    Ok(given_up() - before)
}

/// Lets more come than the services of the scene take, until some are turned away: a queue has room for a thousand events. Gives
/// how many were.
pub(super) async fn overload(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<u64> {
    let turned_away = || stage.load.counters().reasons().get("OVERLOADED").copied().unwrap_or_default();
    let before = turned_away();
    stage.load.mood().lengthen(400);
    let overloaded = async {
        while turned_away() == before {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    let overloaded = within(SETTLE_LIMIT, "an append that meets a full queue", overloaded).await;
    stage.wait(dice, 500..1_500).await;
    stage.load.mood().calm();
    overloaded?;
    Ok(turned_away() - before)
}
