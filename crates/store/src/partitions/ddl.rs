//! The only statements that are put together from text: DDL takes no parameters. Names come through a type that cannot
//! hold a bad one.

use std::fmt;

use sqlx::{AssertSqlSafe, PgPool};

/// A bare table name in schema `event_store_partitions`, made of lower-case letters, digits and underscores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartitionName(String);

impl PartitionName {
    /// PostgreSQL cuts a name after this many bytes (NAMEDATALEN less one).
    const BYTES_MAX: usize = 63;

    pub(super) fn parse(name: &str) -> sqlx::Result<Self> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || name.len() > Self::BYTES_MAX || !name.bytes().all(fits) {
            let message = format!("partition name `{name}` is not one that Partita gives");
            return Err(sqlx::Error::Decode(message.into()));
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for PartitionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event_store_partitions.\"{}\"", self.0)
    }
}

/// Detaches a leaf without blocking readers or writers of its table. It waits for transactions that began before it;
/// given up, it leaves the detach pending, for FINALIZE.
pub(super) async fn detach_concurrently(
    pool: &PgPool,
    parent: &PartitionName,
    leaf: &PartitionName,
) -> sqlx::Result<()> {
    let statement = format!("ALTER TABLE {parent} DETACH PARTITION {leaf} CONCURRENTLY");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(pool).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_bytes_is_refused_or_stands_between_its_quotes_as_it_is() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/partition_name");
        partita_fuzz::Fuzz::new(corpus).text(|text| match PartitionName::parse(text) {
            Ok(name) => {
                let printed = name.to_string();
                let bare =
                    printed.strip_prefix("event_store_partitions.\"").and_then(|rest| rest.strip_suffix('"'));
                assert_eq!(bare, Some(text));
                assert!(
                    (1..=63).contains(&text.len())
                        && !text.contains(|one: char| !one.is_ascii_alphanumeric() && one != '_')
                );
            }
            Err(error) => assert!(matches!(error, sqlx::Error::Decode(_)), "{error}"),
        });
    }

    #[test]
    fn a_partition_name_cannot_carry_sql() {
        assert_eq!(
            PartitionName::parse("t1_2026_11").unwrap().to_string(),
            "event_store_partitions.\"t1_2026_11\""
        );
        for bad in ["", "T1", "t1\"; DROP TABLE x; --", "t-1", "t1.x", &"t".repeat(64)] {
            assert!(PartitionName::parse(bad).is_err(), "{bad}");
        }
    }
}
