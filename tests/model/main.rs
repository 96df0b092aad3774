//! Random operations over all phases, against a model in memory: whatever is done, the service answers what the model
//! says, and in the end the tables hold what it holds.
//!
//! `PARTITA_MODEL_CASES` says how many cases are tried, `PARTITA_MODEL_SEED` which. A case that failed is made as small as it
//! goes, told, and kept in `regressions.txt`, whose cases are tried first from then on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by them; clippy sees that in test functions only, not in what they share"
)]

mod appends;
mod operation;
mod reads;
mod stage;
mod upkeep;
mod world;

use std::env;

use proptest::test_runner::{Config, FileFailurePersistence, RngSeed, TestRunner};

use self::stage::Stage;

/// Cases of a run that is not told how many.
const CASES: u32 = 10;
/// Seed of a run that is not told which: the same cases each time, so that who changes something else is not surprised.
const SEED: u64 = 1_494;
/// Smaller cases that are tried of one that failed, and for how long: what is told at the end must be told before somebody ends
/// the run.
const SHRINK_ITERATIONS_MAX: u32 = 400;
const SHRINK_MILLIS_MAX: u32 = 300_000;
const REGRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/model/regressions.txt");

#[test]
fn every_answer_is_the_one_that_the_model_gives() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().expect("a whole number"));
    let config = Config {
        cases: number("PARTITA_MODEL_CASES").map_or(CASES, |cases| u32::try_from(cases).unwrap()),
        rng_seed: RngSeed::Fixed(number("PARTITA_MODEL_SEED").unwrap_or(SEED)),
        max_shrink_iters: SHRINK_ITERATIONS_MAX,
        max_shrink_time: SHRINK_MILLIS_MAX,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(REGRESSIONS))),
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let tried = TestRunner::new(config).run(&operation::operations(), |operations| {
        runtime.block_on(async {
            let mut stage = Stage::new().await;
            for (index, operation) in operations.iter().enumerate() {
                stage.perform(index, operation).await;
            }
            stage.finish().await;
        });
        Ok(())
    });
    if let Err(failure) = tried {
        panic!("{failure}");
    }
}
