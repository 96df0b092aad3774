//! What happens to processes of the service.

use nix::sys::signal::Signal;
use rand::RngExt as _;

use crate::plan::Dice;
use crate::stage::{SETTLE_LIMIT, Stage};

/// Kills one, or all, and starts them again after a while.
pub(super) async fn kill(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<()> {
    for _ in 0..3 {
        let victims = some(stage, dice);
        for victim in &victims {
            stage.services[*victim].kill().await;
        }
        stage.wait(dice, 0..400).await;
        stage.ensure_services().await?;
        stage.wait(dice, 100..400).await;
    }
    Ok(())
}

/// Ends one in order, and starts it again.
pub(super) async fn end(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<()> {
    let victim = dice.random_range(0..stage.services.len());
    stage.services[victim].terminate(SETTLE_LIMIT).await?;
    stage.wait(dice, 0..300).await;
    stage.ensure_services().await
}

/// Stops some in their tracks, lets them go on, and sometimes kills them instead.
pub(super) async fn stop(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<()> {
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
    stage.ensure_services().await
}

fn some(stage: &Stage<'_>, dice: &mut Dice) -> Vec<usize> {
    let all = 0..stage.services.len();
    if dice.random_bool(0.25) { all.collect() } else { vec![dice.random_range(all)] }
}
