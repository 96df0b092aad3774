use sqlx::PgConnection;

use super::check::Answer;
use super::settings;

/// Share of the lock table that a statement over all partitions may take before it is worth a warning, as one in so many.
/// Ours name a tenant and lock few; pg_dump, a DROP or a generic plan of another program lock all.
const SHARE: i64 = 2;

/// The lock table has places for everything that hangs under the partitioned table.
pub(super) async fn check(connection: &mut PgConnection) -> sqlx::Result<Answer> {
    let names = ["max_locks_per_transaction", "max_connections", "max_prepared_transactions"];
    let settings = settings::find(connection, &names).await?;
    let number = |name| settings.get(name).and_then(|setting| setting.value.parse::<i64>().ok()).unwrap_or(0);
    let (per_transaction, sessions) = (number(names[0]), number(names[1]) + number(names[2]));
    let found = sqlx::query_file!("sql/doctor/count_relations.sql").fetch_one(connection).await?;
    Ok(judge(per_transaction, sessions, found.leaves, found.tables + found.indexes))
}

fn judge(per_transaction: i64, sessions: i64, leaves: i64, relations: i64) -> Answer {
    let places = per_transaction * sessions;
    let text = format!("{leaves} leaves are {relations} relations; the lock table has {places} places");
    if relations * SHARE <= places {
        return Answer::ok(text);
    }
    // Rounded up to the next power of two: the tenants of the next year are coming too.
    let wanted = (relations * SHARE).div_euclid(sessions.max(1)).max(per_transaction) + 1;
    let wanted = u64::try_from(wanted).unwrap_or(64).next_power_of_two();
    let fix = format!("ALTER SYSTEM SET max_locks_per_transaction = {wanted}; -- and restart");
    if relations > places {
        return Answer::fail(
            format!("{text}: pg_dump and a generic plan die of \"out of shared memory\""),
            fix,
        );
    }
    Answer::warn(text, fix)
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn all_partitions_may_take_half_of_the_lock_table() {
        let verdict = |relations| judge(64, 100, relations / 4, relations).verdict;
        assert_eq!(
            [verdict(0), verdict(3_200), verdict(3_201), verdict(6_401)],
            [Verdict::Ok, Verdict::Ok, Verdict::Warn, Verdict::Fail]
        );
    }
}
