//! A task that reads: forwards and backwards, whole streams and pages of them, by version and by time.

use std::sync::Arc;
use std::time::Duration;

use partita_model::{Timestamp, Version};
use rand::RngExt as _;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::caller::Caller;
use super::draft::{any_tenant, own_stream, shared_stream};
use super::{Dice, WorkloadOptions};
use crate::history::{Asked, Call, ReadEnd, StreamKey};

/// Most pages of a stream that is read page by page.
const PAGES_MAX: u32 = 20;

/// Reads until it is told to stop.
pub(super) async fn run(
    mut caller: Caller,
    options: Arc<WorkloadOptions>,
    stop: CancellationToken,
) -> Vec<Call> {
    while !stop.is_cancelled() {
        let Some(key) = any_stream(&mut caller.dice, &options) else { break };
        if caller.dice.random_bool(0.2) {
            read_pages(&mut caller, key, &stop).await;
        } else {
            let asked = asked(&mut caller.dice, options.months_back);
            caller.read(key, asked).await;
        }
        pause(&mut caller.dice, options.pause).await;
    }
    caller.calls
}

/// Waits for any time up to twice of what is usual.
pub(crate) async fn pause(dice: &mut Dice, usual: Duration) {
    if !usual.is_zero() {
        tokio::time::sleep(dice.random_range(Duration::ZERO..usual * 2)).await;
    }
}

fn any_stream(dice: &mut Dice, options: &WorkloadOptions) -> Option<StreamKey> {
    let tenant = any_tenant(dice, options)?;
    let stream = match dice.random_range(0..10) {
        0..6 => shared_stream(dice, options),
        _ => own_stream(dice.random_range(0..options.writers.max(1))),
    };
    Some(StreamKey { tenant, stream })
}

fn asked(dice: &mut Dice, months_back: u32) -> Asked {
    let some = |dice: &mut Dice| dice.random_bool(0.3);
    let mut asked = Asked { backwards: dice.random_bool(0.4), ..Asked::default() };
    if some(dice) {
        asked.from_version = Some(Version::new(dice.random_range(1..60)));
    }
    if some(dice) {
        asked.max_count = Some(dice.random_range(1..40));
    }
    if dice.random_bool(0.15) {
        let back = time::Duration::days(i64::from(months_back) * 15) + time::Duration::seconds(3);
        let at = Timestamp::from_datetime(OffsetDateTime::now_utc() - back);
        match dice.random_bool(0.5) {
            true => asked.from_timestamp = Some(at),
            false => asked.to_timestamp = Some(at),
        }
    }
    asked
}

/// Reads a stream from its beginning, a few events at a time, as a client that comes back for more.
async fn read_pages(caller: &mut Caller, key: StreamKey, stop: &CancellationToken) {
    let size = caller.dice.random_range(1..12);
    let mut from = 1;
    for _ in 0..PAGES_MAX {
        let asked =
            Asked { from_version: Some(Version::new(from)), max_count: Some(size), ..Asked::default() };
        let end = caller.read(key.clone(), asked).await;
        let last = caller.calls.last().and_then(Call::read).and_then(|read| read.events.last());
        match (end, last) {
            (ReadEnd::Whole { version, .. }, Some(last)) if last.version < version => {
                from = last.version.get() + 1;
            }
            (ReadEnd::Whole { .. } | ReadEnd::Cut(_) | ReadEnd::NotFound, _) => return,
        }
        if stop.is_cancelled() {
            return;
        }
    }
}
