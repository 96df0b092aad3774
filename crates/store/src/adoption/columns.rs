use sqlx::PgConnection;

use super::expected::{EXPECTED, Expected, Kind};
use super::finding::Finding;
use super::table::Size;

/// Characters of a hash, which every append writes.
const HASH_CHARS: i32 = 64;
const CATALOGUE_ONLY: &str = "ACCESS EXCLUSIVE for milliseconds: the catalogue alone changes";

/// A column of the legacy table.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) type_text: String,
    pub(super) type_name: String,
    length_max: Option<i32>,
    is_not_null: bool,
    has_default: bool,
    is_generated: bool,
}

pub(super) async fn list(connection: &mut PgConnection) -> sqlx::Result<Vec<Column>> {
    sqlx::query_file_as!(Column, "sql/adoption/list_columns.sql").fetch_all(connection).await
}

/// Missing ones, then those of another type, then those that are more than we know.
pub(super) fn judge(columns: &[Column], size: &Size) -> Vec<Finding> {
    let mut findings = Vec::new();
    for expected in &EXPECTED {
        match columns.iter().find(|column| column.name == expected.name) {
            None => findings.push(missing(expected)),
            Some(column) => findings.extend(judge_expected(column, expected, size)),
        }
    }
    let is_expected = |name: &str| EXPECTED.iter().any(|expected| expected.name == name);
    findings.extend(columns.iter().filter(|column| !is_expected(&column.name)).map(judge_extra));
    findings
}

fn missing(expected: &Expected) -> Finding {
    let (name, declaration) = (expected.name, expected.kind.declaration());
    let finding =
        Finding::blocks("column_missing", name, format!("there is no column {name} ({declaration})"));
    match (expected.is_needed, expected.filler) {
        (false, _) => finding
            .mend(format!("ALTER TABLE public.event_store ADD COLUMN {name} {declaration};"), CATALOGUE_ONLY),
        // A constant default fills the rows that are there without a rewrite; new rows must name their own.
        (true, Some(filler)) => {
            let sql = format!(
                "ALTER TABLE public.event_store ADD COLUMN {name} {declaration} NOT NULL DEFAULT {filler};"
            );
            finding.mend(sql, CATALOGUE_ONLY)
        }
        (true, None) => finding,
    }
}

fn judge_expected(column: &Column, expected: &Expected, size: &Size) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !expected.kind.accepts(&column.type_name) {
        findings.push(other_type(column, expected.kind, size));
    } else if let (Kind::Text(chars), Some(length)) = (expected.kind, column.length_max)
        && length < chars
    {
        findings.push(too_short(column, chars, length));
    } else if let Kind::Text(chars) = expected.kind
        && column.length_max.is_none_or(|length| length > chars)
    {
        let found = format!(
            "{} may hold more than the {chars} characters that can be copied: scan",
            column.type_text
        );
        findings.push(Finding::notes("column_longer", &column.name, found));
    }
    if column.is_generated {
        let found = "its values are generated: an append, which brings its own, is refused";
        let sql = format!(
            "ALTER TABLE public.event_store ALTER COLUMN {} DROP EXPRESSION IF EXISTS, ALTER COLUMN {} DROP IDENTITY IF EXISTS;",
            column.name, column.name
        );
        findings.push(Finding::blocks("column_generated", &column.name, found).mend(sql, CATALOGUE_ONLY));
    }
    if expected.is_needed && !column.is_not_null {
        findings.push(nullable(column));
    }
    findings
}

fn other_type(column: &Column, wanted: Kind, size: &Size) -> Finding {
    let (name, declaration) = (&column.name, wanted.declaration());
    let found = format!("is {}, must be {declaration}: reads that unite both tables fail", column.type_text);
    let finding = Finding::blocks("column_type", name, found);
    if wanted == Kind::Instant && column.type_name == "timestamp" {
        let sql = format!(
            "SET TIME ZONE 'UTC'; -- the zone that its writers meant\n\
             ALTER TABLE public.event_store ALTER COLUMN {name} TYPE timestamptz;"
        );
        // PostgreSQL 12 and newer rewrite nothing between the two types while the session's zone is UTC.
        let cost = "ACCESS EXCLUSIVE; no row is rewritten while the session's TimeZone is UTC, else all are";
        return finding.mend(sql, cost);
    }
    let sql = format!(
        "ALTER TABLE public.event_store ALTER COLUMN {name} TYPE {declaration} USING {name}::{declaration};"
    );
    finding.mend(sql, size.rewrite())
}

fn too_short(column: &Column, chars: i32, length: i32) -> Finding {
    let sql = format!("ALTER TABLE public.event_store ALTER COLUMN {} TYPE varchar({chars});", column.name);
    let is_hash = chars == HASH_CHARS;
    let finding = if is_hash {
        let found = format!("holds {length} characters, a hash has {HASH_CHARS}: every append is refused");
        Finding::blocks("column_shorter", &column.name, found)
    } else {
        let found = format!(
            "holds {length} characters of the {chars} that an append may bring: longer ones are refused"
        );
        Finding::hurts("column_shorter", &column.name, found)
    };
    finding.mend(sql, CATALOGUE_ONLY)
}

fn nullable(column: &Column) -> Finding {
    let name = &column.name;
    let sql = format!(
        "ALTER TABLE public.event_store ADD CONSTRAINT {name}_present CHECK ({name} IS NOT NULL) NOT VALID;\n\
         ALTER TABLE public.event_store VALIDATE CONSTRAINT {name}_present;\n\
         ALTER TABLE public.event_store ALTER COLUMN {name} SET NOT NULL, DROP CONSTRAINT {name}_present;"
    );
    let cost = "the VALIDATE reads all rows under SHARE UPDATE EXCLUSIVE, beside readers and writers; the others take \
         ACCESS EXCLUSIVE for milliseconds, for which SET lock_timeout = '2s' first";
    Finding::hurts("column_nullable", name, "may be NULL: such a row cannot be copied; scan for them")
        .mend(sql, cost)
}

/// A column that Partita does not know.
fn judge_extra(column: &Column) -> Finding {
    let name = &column.name;
    if column.is_not_null && !column.has_default && !column.is_generated {
        let found = format!(
            "{} NOT NULL without a default: an append, which does not know it, is refused",
            column.type_text
        );
        let quoted = name.replace('"', "\"\"");
        let sql = format!(
            "ALTER TABLE public.event_store ALTER COLUMN \"{quoted}\" DROP NOT NULL; -- or SET DEFAULT"
        );
        return Finding::blocks("column_extra_needed", name, found).mend(sql, CATALOGUE_ONLY);
    }
    Finding::notes("column_extra", name, format!("{}: stays in legacy, is not copied", column.type_text))
}
