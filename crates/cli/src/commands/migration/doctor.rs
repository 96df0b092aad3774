use clap::Args;
use partita_store::adoption::{self, Adoption, AdoptionError, Finding, Scan, Severity};
use serde::Serialize;

use crate::config::{Config, ConfigArgs};
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

/// Look at a legacy table before it is adopted: what blocks, in order, with the SQL that mends it and what that costs.
///
/// Reads only. Run it before `migrate up` as well as after it. Exit code 3 when something blocks.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Also read every row: NULLs, duplicates, months out of range, JSON that jsonb would change or refuse
    #[arg(long)]
    scan: bool,
}

/// The whole finding, for programs.
#[derive(Debug, Serialize)]
struct AdoptionDocument<'a> {
    exists: bool,
    rows: Option<i64>,
    table_bytes: i64,
    index_bytes: i64,
    blockers: usize,
    findings: Vec<FindingDocument<'a>>,
    scans: Vec<ScanDocument<'a>>,
}

#[derive(Debug, Serialize)]
struct FindingDocument<'a> {
    rule: &'static str,
    severity: &'static str,
    subject: &'a str,
    found: &'a str,
    mend: Option<&'a str>,
    cost: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct ScanDocument<'a> {
    name: &'static str,
    cost: &'a str,
    done: bool,
    obstacle: Option<&'a str>,
}

pub(crate) async fn run(args: DoctorArgs, config: &ConfigArgs, format: Format) -> Result<(), Failure> {
    let url = Config::load(config, Config::default())?.database_url()?;
    let adoption = adoption::examine(&url, args.scan).await.map_err(|error| failure(&error))?;
    let blockers = adoption.findings.iter().filter(|it| it.severity == Severity::Blocks).count();
    match format {
        Format::Json => output::json(&AdoptionDocument::new(&adoption, blockers))?,
        Format::Table => print(&adoption, args.scan)?,
    }
    match blockers {
        0 => Ok(()),
        count => {
            let failure = Failure::refused(format!("findings that block adoption: {count}"));
            Err(failure.next("mend them from the top, then run it again"))
        }
    }
}

fn failure(error: &AdoptionError) -> Failure {
    let exit = match error {
        AdoptionError::Unreachable { .. } => Exit::Unreachable,
        AdoptionError::Failed(_) => Exit::Internal,
    };
    Failure::new(exit, error.to_string()).because_of(error)
}

fn print(adoption: &Adoption, is_scanned: bool) -> Result<(), Failure> {
    if !adoption.exists {
        return output::line("there is no table event_store: `partita migrate up` makes a fresh one");
    }
    let rows =
        adoption.rows.map_or_else(|| "not known before an ANALYZE".to_owned(), |rows| rows.to_string());
    let (table, indexes) = (output::bytes(adoption.table_bytes), output::bytes(adoption.index_bytes));
    output::line(&format!("event_store: rows {rows}, table {table}, indexes {indexes}"))?;
    for (number, finding) in adoption.findings.iter().enumerate() {
        print_finding(number + 1, finding)?;
    }
    if adoption.findings.is_empty() {
        output::line("nothing found that adoption has to reckon with")?;
    }
    for scan in &adoption.scans {
        let standing = match (&scan.obstacle, scan.is_done) {
            (Some(obstacle), _) => format!("cannot be scanned: {obstacle}"),
            (None, true) => "scanned".to_owned(),
            (None, false) => format!("not scanned; costs {}", scan.cost),
        };
        output::line(&format!("{}: {standing}", scan.name))?;
    }
    if !is_scanned && adoption.scans.iter().any(|scan| scan.obstacle.is_none()) {
        output::line("run it again with --scan to look at the rows")?;
    }
    Ok(())
}

fn print_finding(number: usize, finding: &Finding) -> Result<(), Failure> {
    let (severity, subject) = (severity_name(finding.severity), output::cell(&finding.subject));
    output::line(&format!("{number:>2}. {severity:<6} {} ({subject}): {}", finding.rule, finding.found))?;
    if let Some(mend) = &finding.mend {
        for line in mend.lines() {
            output::line(&format!("      {line}"))?;
        }
    }
    match &finding.cost {
        Some(cost) => output::line(&format!("      costs: {cost}")),
        None => Ok(()),
    }
}

impl<'a> AdoptionDocument<'a> {
    fn new(adoption: &'a Adoption, blockers: usize) -> Self {
        let &Adoption { exists, rows, table_bytes, index_bytes, ref findings, ref scans } = adoption;
        let findings = findings.iter().map(FindingDocument::from).collect();
        let scans = scans.iter().map(ScanDocument::from).collect();
        Self { exists, rows, table_bytes, index_bytes, blockers, findings, scans }
    }
}

impl<'a> From<&'a Finding> for FindingDocument<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            rule: finding.rule,
            severity: severity_name(finding.severity),
            subject: &finding.subject,
            found: &finding.found,
            mend: finding.mend.as_deref(),
            cost: finding.cost.as_deref(),
        }
    }
}

impl<'a> From<&'a Scan> for ScanDocument<'a> {
    fn from(scan: &'a Scan) -> Self {
        Self { name: scan.name, cost: &scan.cost, done: scan.is_done, obstacle: scan.obstacle.as_deref() }
    }
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Blocks => "blocks",
        Severity::Hurts => "hurts",
        Severity::Notes => "note",
    }
}
