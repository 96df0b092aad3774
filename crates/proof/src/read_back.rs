//! Every stream, read once more through a service when the load is over: what is stored must also be readable.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng as _;
use tonic::transport::Channel;

use crate::contents::Contents;
use crate::history::{Asked, History, MomentClock, ReadEnd, StreamKey};
use crate::workload::{Caller, Counters, Dice, Mood};

/// How long a read may take: nothing disturbs it.
const DEADLINE: Duration = Duration::from_secs(30);
/// A number that no worker of a load has.
const WORKER: u32 = u32::MAX;

/// Reads every stream that has events from its beginning to its end, and adds that to the history. Gives how many streams
/// were read whole.
///
/// # Errors
/// The first stream that could not be read, and why.
pub async fn read_back(service: &Channel, history: &mut History, contents: &Contents) -> Result<u64, String> {
    let mut caller = Caller {
        worker: WORKER,
        services: vec![Caller::client(service)],
        clock: Arc::new(MomentClock::after(history)),
        counters: Arc::<Counters>::default(),
        mood: Arc::<Mood>::default(),
        deadline: DEADLINE,
        dice: Dice::seed_from_u64(0),
        calls: Vec::new(),
    };
    let rows = contents.legacy.iter().chain(&contents.partitioned);
    let keys: BTreeSet<&StreamKey> = rows.map(|row| &row.key).collect();
    let mut whole = 0;
    for key in keys {
        match caller.read(key.clone(), Asked::default()).await {
            ReadEnd::Whole { .. } => whole += 1,
            // The checker tells that it was recorded.
            ReadEnd::NotFound => {}
            ReadEnd::Cut(why) => return Err(format!("{key} could not be read: {why}")),
        }
    }
    history.calls.append(&mut caller.calls);
    Ok(whole)
}
