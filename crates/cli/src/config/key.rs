use std::fmt::Display;

use super::layers;

/// Words in the last part of a key's name that make its value a secret.
const SECRET_WORDS: [&str; 3] = ["password", "secret", "token"];
/// What is shown in place of a secret.
const HIDDEN: &str = "(hidden)";

/// A key, as it was asked for: what it may be, what it is by default, and what a layer set it to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// Its name, such as `lanes.count`.
    pub(crate) name: &'static str,
    /// What it must be, in words.
    pub(crate) limit: String,
    /// What it must be, for programs.
    pub(crate) shape: Shape,
    /// Its default, as one would write it; none where nothing is set unless somebody sets it.
    pub(crate) default: Option<String>,
    /// What it was set to, and where. A database's URL is here without its password.
    pub(super) set: Option<(String, String)>,
}

/// What the value of a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A text with a meaning of its own.
    Text,
    /// A whole number within bounds, both included.
    Number {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// One of a few words.
    Choice(Vec<String>),
    /// On or off.
    Switch,
}

impl Key {
    pub(super) fn new(name: &'static str, limit: &str) -> Self {
        Self { name, limit: limit.to_owned(), shape: Shape::Text, default: None, set: None }
    }

    /// The variable that sets it.
    pub(crate) fn variable(&self) -> String {
        layers::variable_of(self.name)
    }

    /// What it is now, fit to be shown; none where it is not set and has no default.
    pub(crate) fn shown(&self) -> Option<&str> {
        match &self.set {
            Some(_) if self.is_secret() => Some(HIDDEN),
            Some((text, _)) => Some(text),
            None => self.default.as_deref(),
        }
    }

    /// Where what it is now comes from.
    pub(crate) fn source(&self) -> &str {
        self.set.as_ref().map_or("default", |(_, source)| source)
    }

    fn is_secret(&self) -> bool {
        let last = self.name.rsplit('.').next().unwrap_or_default();
        SECRET_WORDS.iter().any(|word| last.contains(word))
    }
}

impl Shape {
    /// Bounds of any whole type that fits in 64 bits; a text where they do not.
    pub(super) fn number(min: &impl Display, max: &impl Display) -> Self {
        match (min.to_string().parse(), max.to_string().parse()) {
            (Ok(min), Ok(max)) => Self::Number { min, max },
            _ => Self::Text,
        }
    }

    pub(super) fn choice(names: &[&str]) -> Self {
        Self::Choice(names.iter().map(|&name| name.to_owned()).collect())
    }
}
