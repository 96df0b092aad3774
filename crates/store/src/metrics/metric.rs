use metrics::{Label, SharedString};

/// A metric: what it is called, and what it means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// As Prometheus shows it.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// The names of its labels. Their values are few.
    pub labels: &'static [&'static str],
    /// For people: what it tells, with its unit where the name has none.
    pub description: &'static str,
}

/// How a metric moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Up.
    Counter,
    /// Up and down.
    Gauge,
    /// Observations, counted in buckets with these upper bounds.
    Histogram(&'static [f64]),
}

impl Metric {
    pub(super) const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        description: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Counter, labels, description }
    }

    pub(super) const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        description: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Gauge, labels, description }
    }

    pub(super) const fn histogram(
        name: &'static str,
        buckets: &'static [f64],
        labels: &'static [&'static str],
        description: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Histogram(buckets), labels, description }
    }

    /// Adds to a counter. `values` are those of the labels, in their order; so for the other verbs.
    pub fn add<const N: usize>(&self, count: u64, values: [&'static str; N]) {
        metrics::counter!(self.name, self.labels(values)).increment(count);
    }

    /// Adds to a gauge, or takes away from it.
    pub fn shift<const N: usize>(&self, by: f64, values: [&'static str; N]) {
        metrics::gauge!(self.name, self.labels(values)).increment(by);
    }

    /// Sets a gauge.
    pub fn set<const N: usize>(&self, value: f64, values: [&'static str; N]) {
        metrics::gauge!(self.name, self.labels(values)).set(value);
    }

    /// Notes an observation.
    pub fn observe<const N: usize>(&self, value: f64, values: [&'static str; N]) {
        metrics::histogram!(self.name, self.labels(values)).record(value);
    }

    fn labels<const N: usize>(&self, values: [&'static str; N]) -> Vec<Label> {
        debug_assert_eq!(self.labels.len(), N, "{}", self.name);
        let label = |(name, value): (&&'static str, &'static str)| Label::from_static_parts(name, value);
        self.labels.iter().zip(values).map(label).collect()
    }

    pub(super) fn describe(&self) {
        let description = SharedString::const_str(self.description);
        match self.kind {
            Kind::Counter => {
                metrics::describe_counter!(self.name, description);
                if self.labels.is_empty() {
                    self.add(0, []);
                }
            }
            Kind::Gauge => metrics::describe_gauge!(self.name, description),
            Kind::Histogram(_) => metrics::describe_histogram!(self.name, description),
        }
    }
}
