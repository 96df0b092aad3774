//! What a run came to, as it is printed.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use comfy_table::{LineStyle, Table, TableStyle};
use partita_proof::Kind;

use crate::args::Args;
use crate::fault::Fault;
use crate::plan::{Fleet, RoundPlan};
use crate::round::RoundReport;

/// Most violations of a round that are told in full.
const TOLD_MAX: usize = 5;

/// Numbers over all rounds, and what was found.
pub(crate) struct Report {
    seed: u64,
    begun: Instant,
    rounds: u32,
    calls: usize,
    events: usize,
    verified: i64,
    fleets: BTreeMap<Fleet, u32>,
    injected: BTreeMap<Fault, (u32, u64, Duration)>,
    left_out: BTreeMap<Fault, String>,
    reasons: BTreeMap<String, u64>,
    found: BTreeMap<Kind, u32>,
}

impl Report {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            begun: Instant::now(),
            rounds: 0,
            calls: 0,
            events: 0,
            verified: 0,
            fleets: BTreeMap::new(),
            injected: BTreeMap::new(),
            left_out: BTreeMap::new(),
            reasons: BTreeMap::new(),
            found: BTreeMap::new(),
        }
    }

    /// The command that plays this round once more.
    pub(crate) fn how_again(&self, plan: &RoundPlan, args: &Args) -> String {
        let only: Vec<String> = args.only.iter().map(|fault| fault.name()).collect();
        let only = if only.is_empty() { String::new() } else { format!(" --only {}", only.join(",")) };
        format!(
            "round {} failed; again: partita-torture --seed {} --round {}{only}",
            plan.number, self.seed, plan.number
        )
    }

    /// Adds a round, and tells at once what was found in it.
    pub(crate) fn add(&mut self, plan: &RoundPlan, args: &Args, round: RoundReport) -> io::Result<()> {
        self.rounds += 1;
        self.calls += round.calls;
        self.events += round.events;
        self.verified += round.verified;
        if !round.injected.is_empty() {
            *self.fleets.entry(plan.fleet).or_default() += 1;
        }
        for (fault, met, took) in round.injected {
            let (times, meetings, total) = self.injected.entry(fault).or_default();
            *times += 1;
            *meetings += met;
            *total += took;
        }
        self.left_out.extend(round.left_out);
        for (reason, count) in round.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
        let mut out = io::stdout().lock();
        for (_, told) in round.found.iter().take(TOLD_MAX) {
            writeln!(out, "VIOLATION {told}")?;
        }
        if let Some(more) = round.found.len().checked_sub(TOLD_MAX + 1) {
            writeln!(out, "... and {} more", more + 1)?;
        }
        for (kind, _) in &round.found {
            *self.found.entry(*kind).or_default() += 1;
        }
        if !round.found.is_empty() {
            writeln!(out, "{}", self.how_again(plan, args))?;
            if let Some(log) = round.log {
                writeln!(out, "log of its services: {}", log.display())?;
            }
        }
        Ok(())
    }

    /// Whether nothing was found.
    pub(crate) fn is_clean(&self) -> bool {
        self.found.is_empty()
    }

    /// The summary.
    pub(crate) fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let seconds = self.begun.elapsed().as_secs();
        writeln!(
            out,
            "\nseed {}: {} rounds in {seconds} s, {} calls, {} events stored, {} hashes verified\n",
            self.seed, self.rounds, self.calls, self.events, self.verified
        )?;
        writeln!(out, "{}\n", self.fleets())?;
        writeln!(out, "{}\n", self.faults())?;
        writeln!(out, "{}\n", self.answers())?;
        writeln!(out, "{}", self.promises())
    }

    fn fleets(&self) -> Table {
        let mut table = table(["fleet", "rounds", ""]);
        for (fleet, rounds) in &self.fleets {
            table.add_row([fleet.name().to_owned(), rounds.to_string(), String::new()]);
        }
        table
    }

    fn faults(&self) -> Table {
        let mut table = table(["fault", "injected", "met", "seconds"]);
        for (fault, (times, met, total)) in &self.injected {
            let seconds = format!("{:.1}", total.as_secs_f64());
            table.add_row([fault.name(), times.to_string(), met.to_string(), seconds]);
        }
        for (fault, why) in &self.left_out {
            table.add_row([fault.name(), "not run".to_owned(), String::new(), why.clone()]);
        }
        table
    }

    fn answers(&self) -> Table {
        let mut table = table(["refused, cut or unknown", "times", ""]);
        for (reason, count) in &self.reasons {
            table.add_row([reason.clone(), count.to_string(), String::new()]);
        }
        table
    }

    fn promises(&self) -> Table {
        let mut table = table(["promise", "broken", ""]);
        for kind in Kind::ALL {
            let broken = self.found.get(&kind).copied().unwrap_or_default();
            table.add_row([kind.promise().to_owned(), broken.to_string(), String::new()]);
        }
        table
    }
}

fn table<const COLUMNS: usize>(header: [&str; COLUMNS]) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    table.set_header(header);
    table
}
