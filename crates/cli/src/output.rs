//! What goes to standard output: tables for people, JSON and CSV for programs, and nothing else.

use std::io::{ErrorKind, Write as _};

use clap::ValueEnum;
use comfy_table::{Cell, CellAlignment, LineStyle, Table, TableStyle};
use serde::Serialize;

use crate::failure::Failure;

/// Widest cell of free text, in characters: a row of a table stays a line on most screens.
const CELL_CHARS_MAX: usize = 72;

/// How results are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people; may change.
    Table,
    /// One JSON document, or one a line for events.
    Json,
    /// A line a row, with a line of titles: `partitions list`, `check` and `plan` alone.
    Csv,
}

impl Output {
    /// The form of a command that has no rows to speak of.
    ///
    /// # Errors
    /// For CSV.
    pub(crate) fn plain(self) -> Result<Format, Failure> {
        match self {
            Self::Table => Ok(Format::Table),
            Self::Json => Ok(Format::Json),
            Self::Csv => Err(Failure::usage("-o csv is for `partitions list`, `check` and `plan`")
                .next("ask for -o json, or leave it out")),
        }
    }
}

/// How results are printed by a command that has no rows to speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people; may change.
    Table,
    /// One JSON document, or one a line for events.
    Json,
}

/// Prints one line.
///
/// # Errors
/// [`Failure::quiet`] when the reader went away (`partita read … | head`).
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.write_all(b"\n")).map_err(|error| {
        if error.kind() == ErrorKind::BrokenPipe {
            return Failure::quiet();
        }
        Failure::internal("cannot write to standard output").because(error)
    })
}

/// Prints one JSON document on one line.
pub(crate) fn json(document: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(document);
    line(&text.map_err(|error| Failure::internal("cannot write JSON").because(error))?)
}

/// Prints rows as CSV (RFC 4180), the names of their fields first; with no rows, nothing but the names.
pub(crate) fn csv<R: Serialize>(titles: &[&str], rows: &[R]) -> Result<(), Failure> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    let written = writer
        .write_record(titles)
        .and_then(|()| rows.iter().try_for_each(|row| writer.serialize(row)))
        .and_then(|()| writer.flush().map_err(csv::Error::from));
    written.map_err(|error| Failure::internal("cannot write CSV").because(error))?;
    let bytes = writer.into_inner().map_err(|error| Failure::internal("cannot write CSV").because(error))?;
    line(String::from_utf8_lossy(&bytes).trim_end_matches('\n'))
}

/// Prints a table; columns whose title begins with `#` are numbers and are set to the right, without the `#`.
pub(crate) fn table(titles: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    table.set_header(titles.iter().map(|title| title.trim_start_matches('#')));
    for row in rows {
        let cells = row.into_iter().zip(titles).map(|(text, title)| {
            let align = if title.starts_with('#') { CellAlignment::Right } else { CellAlignment::Left };
            Cell::new(text).set_alignment(align)
        });
        table.add_row(cells.collect::<Vec<_>>());
    }
    line(&table.trim_fmt())
}

/// Text from a stranger, for a cell: control characters shown, not obeyed by the terminal, and cut to a bound.
pub(crate) fn cell(text: &str) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == CELL_CHARS_MAX {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// A size for people: three digits and a unit of 1,024.
pub(crate) fn bytes(count: i64) -> String {
    let mut unit = "B";
    let mut size = count as f64;
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{count} B") } else { format!("{size:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_shows_control_characters_and_is_bounded() {
        assert_eq!(cell("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\nb");
        assert_eq!(cell(&"x".repeat(500)).chars().count(), CELL_CHARS_MAX + 1);
    }

    #[test]
    fn sizes_are_told_in_units_of_1024() {
        assert_eq!(
            [bytes(0), bytes(1023), bytes(8192), bytes(5 << 30)],
            ["0 B", "1023 B", "8.0 KiB", "5.0 GiB"]
        );
    }
}
