//! What callers do to their own calls.

use crate::plan::Dice;
use crate::stage::Stage;

/// Lets callers cancel, or hurry, so many of a thousand calls.
pub(super) async fn give_up(
    stage: &mut Stage<'_>,
    dice: &mut Dice,
    cancelled_per_mille: u32,
    hurried_per_mille: u32,
) -> anyhow::Result<()> {
    stage.load.mood().set(cancelled_per_mille, hurried_per_mille);
    stage.wait(dice, 1_500..2_500).await;
    stage.load.mood().calm();
    Ok(())
}
