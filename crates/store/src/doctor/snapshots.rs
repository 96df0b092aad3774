use sqlx::PgConnection;

use super::check::Answer;

/// So many transactions behind a snapshot are worth a warning: a quarter of an hour of a busy store.
const TRANSACTIONS_MAX: i32 = 1_000_000;

/// Nobody holds a snapshot from long ago. Each append leaves dead versions of its tenant's and its streams' rows behind, which
/// cannot be removed until it is gone; and a month that is to be detached waits for it.
pub(super) async fn check(connection: &mut PgConnection) -> sqlx::Result<Answer> {
    let oldest = sqlx::query_file!("sql/doctor/find_oldest_snapshot.sql").fetch_optional(connection).await?;
    Ok(oldest.map_or_else(
        || Answer::ok("nobody else holds a snapshot"),
        |oldest| judge(&oldest.holder, oldest.transactions, oldest.fix),
    ))
}

fn judge(holder: &str, transactions: i32, fix: String) -> Answer {
    let text = format!("the oldest is held by {holder}: {transactions} transactions began since");
    if transactions <= TRANSACTIONS_MAX { Answer::ok(text) } else { Answer::warn(text, fix) }
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn a_snapshot_of_long_ago_is_worth_a_warning_and_a_fresh_one_is_not() {
        let verdict = |transactions| judge("session 7", transactions, "end it".to_owned()).verdict;
        assert_eq!([verdict(1_000_000), verdict(1_000_001)], [Verdict::Ok, Verdict::Warn]);
    }
}
