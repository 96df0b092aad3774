use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use config::{Value, ValueKind};
use partita_store::DatabaseUrl;

use crate::failure::Failure;

/// Takes one key after the other out of the collected layers, and remembers every mistake on the way; what is
/// left in the end is unknown.
#[derive(Debug)]
pub(super) struct Reader {
    values: BTreeMap<String, Value>,
    known: Vec<&'static str>,
    mistakes: Vec<(String, String)>,
}

impl Reader {
    /// `root` is the merged tree of all layers.
    pub(super) fn new(root: Value) -> Self {
        let mut values = BTreeMap::new();
        flatten(String::new(), root, &mut values);
        Self { values, known: Vec::new(), mistakes: Vec::new() }
    }

    /// One key, where `parse` accepts it. `limit` tells what it must be.
    pub(super) fn take<T>(
        &mut self,
        key: &'static str,
        limit: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.known.push(key);
        let value = self.values.remove(key)?;
        let from = source(&value);
        let text = value.into_string().ok();
        let parsed = text.as_deref().and_then(parse);
        if parsed.is_none() {
            let shown = text.map_or_else(|| "a list or a table".to_owned(), |text| format!("`{text}`"));
            self.mistakes.push((key.to_owned(), format!("is {shown}, must be {limit} ({from})")));
        }
        parsed
    }

    pub(super) fn parsed<T: FromStr>(&mut self, key: &'static str, limit: &str, default: T) -> T {
        self.take(key, limit, |text| text.parse().ok()).unwrap_or(default)
    }

    /// A whole number; underscores between digits are read over, as TOML does.
    pub(super) fn number<T>(&mut self, key: &'static str, range: RangeInclusive<T>, default: T) -> T
    where
        T: FromStr + PartialOrd + Display,
    {
        let limit = format!("a whole number from {} to {}", range.start(), range.end());
        let parse = |text: &str| text.replace('_', "").parse().ok().filter(|number| range.contains(number));
        self.take(key, &limit, parse).unwrap_or(default)
    }

    pub(super) fn seconds(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        default: Duration,
    ) -> Duration {
        Duration::from_secs(self.number(key, range, default.as_secs()))
    }

    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)], default: T) -> T {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let find =
            |text: &str| choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, it)| *it);
        self.take(key, &format!("one of {}", names.join(", ")), find).unwrap_or(default)
    }

    pub(super) fn switch(&mut self, key: &'static str, default: bool) -> bool {
        let words =
            [("1", true), ("0", false), ("true", true), ("false", false), ("on", true), ("off", false)];
        self.choice(key, &words, default)
    }

    /// A database's URL. It holds a password: of a bad one, only what is wrong is told.
    pub(super) fn database_url(&mut self, key: &'static str) -> Option<String> {
        self.known.push(key);
        let value = self.values.remove(key)?;
        let from = source(&value);
        let text = value.into_string().unwrap_or_default();
        match DatabaseUrl::parse(&text) {
            Ok(_) => Some(text),
            Err(reason) => {
                self.mistakes.push((key.to_owned(), format!("{reason} ({from})")));
                None
            }
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Every mistake that was met, and every key that nobody took.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        for (key, value) in std::mem::take(&mut self.values) {
            self.mistakes.push((key, format!("is no key of the configuration ({})", source(&value))));
        }
        if self.mistakes.is_empty() {
            return Ok(());
        }
        let count = self.mistakes.len();
        let plural = if count == 1 { "mistake" } else { "mistakes" };
        let failure = Failure::usage(format!("the configuration has {count} {plural}"));
        let failure = self.mistakes.into_iter().fold(failure, |failure, (key, what)| failure.fact(key, what));
        Err(failure.next("see docs/configuration.md for every key and its limits"))
    }

    /// The keys that were asked for so far.
    #[cfg(test)]
    pub(super) fn known(&self) -> &[&'static str] {
        &self.known
    }
}

/// Where a value was set, for messages.
fn source(value: &Value) -> String {
    value.origin().map_or_else(|| "file".to_owned(), str::to_owned)
}

fn flatten(path: String, value: Value, into: &mut BTreeMap<String, Value>) {
    match value.kind {
        ValueKind::Table(table) => {
            for (key, value) in table {
                let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                flatten(path, value, into);
            }
        }
        ValueKind::Nil
        | ValueKind::Boolean(_)
        | ValueKind::I64(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_)
        | ValueKind::String(_)
        | ValueKind::Array(_) => {
            into.insert(path, value);
        }
    }
}
