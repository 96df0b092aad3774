use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use config::{Value, ValueKind};
use partita_store::DatabaseUrl;

use super::key::{Key, Shape};
use crate::failure::Failure;

/// Takes one key after the other out of the collected layers, and remembers every mistake on the way; what is
/// left in the end is unknown.
#[derive(Debug)]
pub(super) struct Reader {
    values: BTreeMap<String, Value>,
    known: Vec<Key>,
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
        self.known.push(Key::new(key, limit));
        let value = self.values.remove(key)?;
        let from = source(&value);
        let text = value.into_string().ok();
        self.describe(|known| known.set = Some((text.clone().unwrap_or_default(), from.clone())));
        let parsed = text.as_deref().and_then(parse);
        if parsed.is_none() {
            let shown = text.map_or_else(|| "a list or a table".to_owned(), |text| format!("`{text}`"));
            self.mistakes.push((key.to_owned(), format!("is {shown}, must be {limit} ({from})")));
        }
        parsed
    }

    pub(super) fn parsed<T: FromStr + Display>(&mut self, key: &'static str, limit: &str, default: T) -> T {
        let parsed = self.take(key, limit, |text| text.parse().ok());
        self.default(&default);
        parsed.unwrap_or(default)
    }

    /// A text that `accept` accepts.
    pub(super) fn text(
        &mut self,
        key: &'static str,
        limit: &str,
        accept: impl FnOnce(&str) -> bool,
        default: String,
    ) -> String {
        let taken = self.take(key, limit, |text| accept(text).then(|| text.to_owned()));
        self.default(&default);
        taken.unwrap_or(default)
    }

    /// Notes the default of the key that was taken last, for those who list the keys.
    pub(super) fn default(&mut self, default: &impl Display) {
        self.describe(|known| known.default = Some(default.to_string()));
    }

    /// A file that may be there.
    pub(super) fn path(&mut self, key: &'static str, default: Option<PathBuf>) -> Option<PathBuf> {
        self.take(key, "a path", |text| (!text.is_empty()).then(|| PathBuf::from(text))).or(default)
    }

    /// A whole number; underscores between digits are read over, as TOML does.
    pub(super) fn number<T>(&mut self, key: &'static str, range: RangeInclusive<T>, default: T) -> T
    where
        T: FromStr + PartialOrd + Display,
    {
        let limit = format!("a whole number from {} to {}", range.start(), range.end());
        let parse = |text: &str| text.replace('_', "").parse().ok().filter(|number| range.contains(number));
        let taken = self.take(key, &limit, parse);
        self.default(&default);
        self.describe(|known| known.shape = Shape::number(range.start(), range.end()));
        taken.unwrap_or(default)
    }

    pub(super) fn seconds(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        default: Duration,
    ) -> Duration {
        Duration::from_secs(self.number(key, range, default.as_secs()))
    }

    pub(super) fn millis(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        default: Duration,
    ) -> Duration {
        let millis = u64::try_from(default.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.number(key, range, millis))
    }

    pub(super) fn choice<T: Copy + PartialEq>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
        default: T,
    ) -> T {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let find =
            |text: &str| choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, it)| *it);
        let taken = self.take(key, &format!("one of {}", names.join(", ")), find);
        if let Some((name, _)) = choices.iter().find(|(_, choice)| *choice == default) {
            self.default(name);
        }
        self.describe(|known| known.shape = Shape::choice(&names));
        taken.unwrap_or(default)
    }

    pub(super) fn switch(&mut self, key: &'static str, default: bool) -> bool {
        let words =
            [("1", true), ("0", false), ("true", true), ("false", false), ("on", true), ("off", false)];
        let chosen = self.choice(key, &words, default);
        self.default(&if default { "on" } else { "off" });
        self.describe(|known| known.shape = Shape::Switch);
        chosen
    }

    /// A database's URL. It holds a password: of a bad one, only what is wrong is told.
    pub(super) fn database_url(&mut self, key: &'static str) -> Option<String> {
        self.known.push(Key::new(key, "a URL such as postgres://user:password@host:5432/database"));
        let value = self.values.remove(key)?;
        let from = source(&value);
        let text = value.into_string().unwrap_or_default();
        match DatabaseUrl::parse(&text) {
            Ok(url) => {
                // As it prints itself: without the password.
                self.describe(|known| known.set = Some((url.to_string(), from)));
                Some(text)
            }
            Err(reason) => {
                self.mistakes.push((key.to_owned(), format!("{reason} ({from})")));
                None
            }
        }
    }

    /// Says more of the key that was taken last.
    fn describe(&mut self, say: impl FnOnce(&mut Key)) {
        if let Some(known) = self.known.last_mut() {
            say(known);
        }
    }

    /// Ends the reading, and gives the keys in the order in which they were asked for.
    ///
    /// # Errors
    /// Every mistake that was met, and every key that nobody took.
    pub(super) fn finish(mut self) -> Result<Vec<Key>, Failure> {
        for (key, value) in std::mem::take(&mut self.values) {
            self.mistakes.push((key, format!("is no key of the configuration ({})", source(&value))));
        }
        if self.mistakes.is_empty() {
            return Ok(self.known);
        }
        let count = self.mistakes.len();
        let plural = if count == 1 { "mistake" } else { "mistakes" };
        let failure = Failure::usage(format!("the configuration has {count} {plural}"));
        let failure = self.mistakes.into_iter().fold(failure, |failure, (key, what)| failure.fact(key, what));
        Err(failure.next("see docs/configuration.md for every key and its limits"))
    }

    /// The keys that were asked for so far.
    #[cfg(test)]
    pub(super) fn known(&self) -> Vec<&'static str> {
        self.known.iter().map(|known| known.name).collect()
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
