//! What happens to processes of the service.

use nix::sys::signal::Signal;
use rand::RngExt as _;

use crate::plan::Dice;
use crate::stage::{SETTLE_LIMIT, Stage};

/// Kills one, or all, and starts them again after a while. Gives how many were killed.
pub(super) async fn kill(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<u64> {
    let mut killed = 0;
    for _ in 0..3 {
        let victims = some(stage, dice);
        for victim in &victims {
            stage.services[*victim].kill().await;
        }
        killed += victims.len();
        stage.wait(dice, 0..400).await;
        stage.ensure_services().await?;
        stage.wait(dice, 100..400).await;
    }
    Ok(killed as u64)
}

/// Ends one in order, and starts it again.
pub(super) async fn end(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<u64> {
    let victim = dice.random_range(0..stage.services.len());
    stage.services[victim].terminate(SETTLE_LIMIT).await?;
    stage.wait(dice, 0..300).await;
    stage.ensure_services().await?;
    Ok(1)
}

/// Stops some in their tracks, lets them go on, and sometimes kills them instead. Gives how many were stopped.
pub(super) async fn stop(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<u64> {
    let victims = some(stage, dice);
    for victim in &victims {
        stage.services[*victim].signal(Signal::SIGSTOP);
    }
    stage.wait(dice, 300..3_500).await;
    for victim in &victims {
        if dice.random_bool(0.3) {
            stage.services[*victim].kill().await;
        } else {
            stage.services[*victim].signal(Signal::SIGCONT);
        }
    }
    stage.ensure_services().await?;
    Ok(victims.len() as u64)
}

/// What is wrong is the scene itself: it only has to last. Gives how many events have an id that a clock drew which was a day off
/// at least: an id of version 7 begins with the milliseconds of its time.
pub(super) async fn skew(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<u64> {
    stage.wait(dice, 1_500..2_500).await;
    let off = "SELECT count(*) FROM public.event_store WHERE substr(event_id::text, 15, 1) = '7' \
         AND abs(extract(epoch FROM created_at) - ('x' || left(replace(event_id::text, '-', ''), 12))::bit(48)::bigint / 1000) \
         > 86400";
    let off: i64 = sqlx::query_scalar(off).fetch_one(&mut stage.connect().await?).await?;
    Ok(off.unsigned_abs())
}

fn some(stage: &Stage<'_>, dice: &mut Dice) -> Vec<usize> {
    let all = 0..stage.services.len();
    if dice.random_bool(0.25) { all.collect() } else { vec![dice.random_range(all)] }
}
