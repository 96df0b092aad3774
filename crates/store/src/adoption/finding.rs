/// Something about a legacy table that adoption has to reckon with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is a case of: short, stable, for programs too.
    pub rule: &'static str,
    /// What it means for adoption.
    pub severity: Severity,
    /// The column, index, trigger, rule or constraint; the table itself where it is about that.
    pub subject: String,
    /// What was found and what would come of it, in words.
    pub found: String,
    /// The SQL that mends it, to be read before it is run; none where only a person can say.
    pub mend: Option<String>,
    /// What mending costs: the lock, and what it takes.
    pub cost: Option<String>,
}

/// What a finding means for adoption. What blocks comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Appends or reads would fail, or rows would be lost on the way: to be mended before the flag goes on.
    Blocks,
    /// Works, but some appends would be refused, some rows be quarantined, or something be slow.
    Hurts,
    /// Good to know.
    Notes,
}

impl Finding {
    pub(super) fn new(
        rule: &'static str,
        severity: Severity,
        subject: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self { rule, severity, subject: subject.into(), found: found.into(), mend: None, cost: None }
    }

    pub(super) fn blocks(rule: &'static str, subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(rule, Severity::Blocks, subject, found)
    }

    pub(super) fn hurts(rule: &'static str, subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(rule, Severity::Hurts, subject, found)
    }

    pub(super) fn notes(rule: &'static str, subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(rule, Severity::Notes, subject, found)
    }

    pub(super) fn mend(mut self, sql: impl Into<String>, cost: impl Into<String>) -> Self {
        self.mend = Some(sql.into());
        self.cost = Some(cost.into());
        self
    }
}
