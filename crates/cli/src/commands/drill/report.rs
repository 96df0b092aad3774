//! What a drill came to, as it is printed.

use std::collections::BTreeMap;
use std::ops::Sub;

use partita_proof::Kind;
use serde::Serialize;

use super::leg::Kill;
use crate::failure::Failure;
use crate::output::{self, Format};

/// Most violations that are told with their calls.
const TOLD_MAX: usize = 5;
const TITLES: [&str; 10] = [
    "leg",
    "#seconds",
    "#appends",
    "#refused",
    "#unknown",
    "#reads",
    "#cut",
    "#kills: services",
    "#sessions",
    "#postgresql",
];

/// Numbers of all legs, and what was found in the end.
pub(super) struct Report {
    seed: u64,
    tenants: usize,
    pub(super) legs: Vec<LegReport>,
    /// How often each reason was given for a refusal, an unknown outcome or a cut.
    pub(super) reasons: BTreeMap<String, u64>,
    pub(super) events: usize,
    pub(super) streams_read: u64,
    pub(super) verified_rows: u64,
    pub(super) hashes_verified: i64,
    pub(super) hashes_foreign: i64,
    pub(super) stranger_served: bool,
    /// Each as it is told.
    pub(super) found: Vec<(Kind, String)>,
}

/// What happened in a leg.
#[derive(Debug, Serialize)]
pub(super) struct LegReport {
    pub(super) name: &'static str,
    pub(super) seconds: f64,
    #[serde(flatten)]
    pub(super) answers: Answers,
    pub(super) kills: Kills,
}

/// What callers were answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Answers {
    /// Acknowledged appends.
    pub(super) appends: u64,
    /// Of those, recorded by an earlier attempt.
    pub(super) replayed: u64,
    pub(super) refused: u64,
    pub(super) unknown: u64,
    /// Reads that came to their end.
    pub(super) reads: u64,
    pub(super) cut: u64,
}

/// What was killed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Kills {
    services: u32,
    sessions: u32,
    postgresql: u32,
}

#[derive(Serialize)]
struct ReportDocument<'r> {
    seed: u64,
    tenants: usize,
    legs: &'r [LegReport],
    reasons: &'r BTreeMap<String, u64>,
    events: usize,
    streams_read: u64,
    rows_verified: u64,
    hashes_verified: i64,
    hashes_foreign: i64,
    violations: Vec<ViolationDocument<'r>>,
}

#[derive(Serialize)]
struct ViolationDocument<'r> {
    promise: &'static str,
    text: &'r str,
}

impl<'r> From<&'r (Kind, String)> for ViolationDocument<'r> {
    fn from((kind, text): &'r (Kind, String)) -> Self {
        Self { promise: kind.promise(), text }
    }
}

impl Kills {
    pub(super) fn count(&mut self, kill: Kill) {
        match kill {
            Kill::Service => self.services += 1,
            Kill::Backend => self.sessions += 1,
            Kill::Postmaster => self.postgresql += 1,
        }
    }
}

impl Sub for Answers {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            appends: self.appends - before.appends,
            replayed: self.replayed - before.replayed,
            refused: self.refused - before.refused,
            unknown: self.unknown - before.unknown,
            reads: self.reads - before.reads,
            cut: self.cut - before.cut,
        }
    }
}

impl LegReport {
    /// How it went, while the others are still to come.
    pub(super) fn line(&self) -> String {
        let Self { name, seconds, answers, kills } = self;
        let Answers { appends, refused, unknown, reads, cut, .. } = answers;
        let kills = kills.services + kills.sessions + kills.postgresql;
        format!(
            "{name}: {seconds:.1} s, {appends} appends ({refused} refused, {unknown} unknown), {reads} reads ({cut} \
             cut), {kills} kills"
        )
    }

    fn row(&self) -> Vec<String> {
        let Answers { appends, refused, unknown, reads, cut, .. } = self.answers;
        let Kills { services, sessions, postgresql } = self.kills;
        let mut row = vec![self.name.to_owned(), format!("{:.1}", self.seconds)];
        row.extend([appends, refused, unknown, reads, cut].map(|count| count.to_string()));
        row.extend([services, sessions, postgresql].map(|count| count.to_string()));
        row
    }
}

impl Report {
    pub(super) fn new(seed: u64, tenants: usize) -> Self {
        Self {
            seed,
            tenants,
            legs: Vec::new(),
            reasons: BTreeMap::new(),
            events: 0,
            streams_read: 0,
            verified_rows: 0,
            hashes_verified: 0,
            hashes_foreign: 0,
            stranger_served: false,
            found: Vec::new(),
        }
    }

    pub(super) fn print(&self, format: Format) -> Result<(), Failure> {
        match format {
            Format::Json => output::json(&self.document()),
            Format::Table => self.print_table(),
        }
    }

    fn document(&self) -> ReportDocument<'_> {
        ReportDocument {
            seed: self.seed,
            tenants: self.tenants,
            legs: &self.legs,
            reasons: &self.reasons,
            events: self.events,
            streams_read: self.streams_read,
            rows_verified: self.verified_rows,
            hashes_verified: self.hashes_verified,
            hashes_foreign: self.hashes_foreign,
            violations: self.found.iter().map(ViolationDocument::from).collect(),
        }
    }

    fn print_table(&self) -> Result<(), Failure> {
        output::table(&TITLES, self.legs.iter().map(LegReport::row).collect())?;
        output::line("")?;
        let reasons =
            self.reasons.iter().map(|(reason, count)| vec![output::cell(reason), count.to_string()]);
        output::table(&["refused, cut or unknown", "#times"], reasons.collect())?;
        output::line("")?;
        let promises = Kind::ALL.map(|kind| {
            let broken = self.found.iter().filter(|(found, _)| *found == kind).count();
            vec![kind.promise().to_owned(), broken.to_string()]
        });
        output::table(&["promise", "#broken"], promises.to_vec())?;
        for (_, told) in self.found.iter().take(TOLD_MAX) {
            output::line(&format!("\nVIOLATION {told}"))?;
        }
        let Self { events, tenants, streams_read, verified_rows, hashes_verified, hashes_foreign, .. } = self;
        output::line(&format!(
            "\nevents {events} of {tenants} tenants; {streams_read} streams read whole; {verified_rows} rows equal in \
             both tables; hashes {hashes_verified} verified, {hashes_foreign} of other programs"
        ))
    }

    /// A broken promise ends the program as such.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        match self.found.len() {
            0 => Ok(()),
            1 => Err(Failure::refused("a promise was broken")),
            count => Err(Failure::refused(format!("promises were broken {count} times"))),
        }
        .map_err(|failure| failure.fact("seed", self.seed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    #[test]
    fn a_broken_promise_is_counted_told_and_ends_with_its_exit_code() {
        let mut report = Report::new(7, 2);
        assert!(report.verdict().is_ok());
        report.found.push((Kind::LostEvent, "drill-1:order/1 is gone".to_owned()));
        let failure = report.verdict().unwrap_err();
        assert_eq!(failure.exit(), Exit::Refused);
        assert!(failure.text().contains("seed: 7"), "{}", failure.text());
        let document = serde_json::to_value(report.document()).unwrap();
        assert_eq!(document["violations"][0]["promise"], "every acknowledged event is there");
    }
}
