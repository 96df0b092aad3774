//! What happens between services and PostgreSQL.

use std::time::Duration;

use partita_faults::{Cut, Proxy};
use rand::RngExt as _;

use crate::plan::Dice;
use crate::stage::Stage;

/// How long a commit is waited for that is to be cut: a service may get none.
const CUT_WAIT: Duration = Duration::from_secs(2);
const CUT_POLL: Duration = Duration::from_millis(5);

/// Cuts a commit of each service, several times over. Gives how many there were to be cut.
pub(super) async fn cut(stage: &mut Stage<'_>, dice: &mut Dice, cut: Cut) -> anyhow::Result<u64> {
    let mut cuts = 0;
    for _ in 0..6 {
        for proxy in &stage.proxies {
            proxy.cut_next_commit(cut);
        }
        let all_cut = async {
            while !stage.proxies.iter().all(Proxy::has_cut) {
                tokio::time::sleep(CUT_POLL).await;
            }
        };
        if tokio::time::timeout(CUT_WAIT, all_cut).await.is_err() {
            tracing::debug!("a service sent nothing that could be cut");
        }
        cuts += stage.proxies.iter().filter(|proxy| proxy.has_cut()).count();
        stage.open_proxies();
        stage.wait(dice, 0..120).await;
    }
    Ok(cuts as u64)
}

/// Slows down every piece. Gives how many there were.
pub(super) async fn delay(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<u64> {
    let before = slowed(stage);
    for proxy in &stage.proxies {
        proxy.delay(Duration::from_millis(dice.random_range(1..40)));
    }
    stage.wait(dice, 1_000..2_500).await;
    stage.open_proxies();
    Ok(slowed(stage) - before)
}

/// Holds everything back, and then lets it through late: of one service at least. Gives how many pieces were held.
pub(super) async fn silence(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<u64> {
    let before = slowed(stage);
    let first = dice.random_range(0..stage.proxies.len());
    for (number, proxy) in stage.proxies.iter().enumerate() {
        if number == first || dice.random_bool(0.6) {
            proxy.hold();
        }
    }
    stage.wait(dice, 500..4_000).await;
    let held = slowed(stage) - before;
    stage.open_proxies();
    stage.ensure_services().await?;
    Ok(held)
}

fn slowed(stage: &Stage<'_>) -> u64 {
    stage.proxies.iter().map(Proxy::slowed).sum()
}
