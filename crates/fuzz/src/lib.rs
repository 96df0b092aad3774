//! Hostile input for whatever parses foreign bytes: a corpus, and what becomes of it by chance. For tests alone.
//!
//! ```text
//! Fuzz::new(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/json")).text(|text| {
//!     if let Ok(document) = JsonDocument::parse(text) { … }
//! });
//! ```
//!
//! Every input of the corpus is tried as it is, then `PARTITA_FUZZ_CASES` inputs that are made from them, or from nothing.
//! `PARTITA_FUZZ_SEED` chooses which. An input that a parser panics at is made as small as it goes, put into the corpus as
//! `failed-…`, and told; one that takes longer than it may ends the process, and is told before that.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "it is a part of tests, and speaks to those who read them"
)]

mod input;
mod watch;

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;

use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};

use self::watch::Watch;

/// Inputs of a run that is not told how many.
const CASES: u32 = 2_000;
/// Seed of a run that is not told which: the same inputs each time.
const SEED: u64 = 1_494;
/// What an input that was found begins with.
const FOUND: &str = "failed-";

/// A parser under attack.
#[derive(Debug, Clone)]
pub struct Fuzz {
    corpus: PathBuf,
    seeds: Vec<Vec<u8>>,
}

impl Fuzz {
    /// With the files of a folder as its corpus.
    pub fn new(corpus: &str) -> Self {
        let corpus = PathBuf::from(corpus);
        let mut files: Vec<PathBuf> =
            fs::read_dir(&corpus).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
        assert!(!seeds.is_empty(), "no corpus in {}", corpus.display());
        Self { corpus, seeds }
    }

    /// Adds an input to the corpus of this run: one that is easier made than kept.
    #[must_use]
    pub fn seed(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.seeds.push(input.into());
        self
    }

    /// Tries bytes of all kinds.
    pub fn bytes(self, target: impl Fn(&[u8])) {
        let Self { corpus, seeds } = self;
        let watch = Watch::start();
        for seed in &seeds {
            watch.over(seed, || target(seed));
        }
        let config = Config {
            cases: number("PARTITA_FUZZ_CASES").map_or(CASES, |cases| u32::try_from(cases).unwrap()),
            rng_seed: RngSeed::Fixed(number("PARTITA_FUZZ_SEED").unwrap_or(SEED)),
            failure_persistence: None,
            ..Config::default()
        };
        let tried = TestRunner::new(config).run(&input::inputs(seeds), |input| {
            watch.over(&input, AssertUnwindSafe(|| target(&input)));
            Ok(())
        });
        match tried {
            Ok(()) => {}
            Err(TestError::Fail(reason, input)) => {
                let mut hasher = DefaultHasher::new();
                input.hash(&mut hasher);
                let file = corpus.join(format!("{FOUND}{:016x}", hasher.finish()));
                let kept = fs::write(&file, &input).map(|()| file.display().to_string());
                panic!("{reason}, kept as {kept:?}: {:?}", String::from_utf8_lossy(&input));
            }
            Err(aborted) => panic!("{aborted}"),
        }
    }

    /// Tries text of all kinds: what is no UTF-8 is mended.
    pub fn text(self, target: impl Fn(&str)) {
        self.bytes(|input| target(&String::from_utf8_lossy(input)));
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a whole number"))
}
