use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

use super::check::Answer;

/// Largest difference of the clocks that is not worth a word. Months and retention go by the database's clock alone;
/// tokens, deadlines and logs by this host's.
const SKEW_MAX: Duration = Duration::seconds(1);

/// The database's clock against this host's. Half of the time that the question took is not known better.
pub(super) async fn check(connection: &mut PgConnection) -> sqlx::Result<Answer> {
    let asked = OffsetDateTime::now_utc();
    let now = sqlx::query_file_scalar!("sql/doctor/find_clock.sql").fetch_one(connection).await?;
    let answered = OffsetDateTime::now_utc();
    Ok(judge(asked, now, answered))
}

fn judge(asked: OffsetDateTime, now: OffsetDateTime, answered: OffsetDateTime) -> Answer {
    let doubt: Duration = (answered - asked) / 2;
    let skew: Duration = now - (asked + doubt);
    let (skew_ms, doubt_ms) = (skew.whole_milliseconds(), doubt.whole_milliseconds());
    if skew.abs() - doubt <= SKEW_MAX {
        return Answer::ok(format!("{} ms apart, ± {doubt_ms} ms", skew_ms.abs()));
    }
    let side = if skew.is_positive() { "ahead of" } else { "behind" };
    let found = format!("the database is {} ms {side} this host, ± {doubt_ms} ms", skew_ms.abs());
    Answer::warn(found, "let NTP (chrony, systemd-timesyncd) run on both: timedatectl set-ntp true")
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn clocks_may_differ_by_a_second_and_by_what_the_question_took() {
        let at = |millis| OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(millis);
        let verdict = |now| judge(at(0), at(now), at(400)).verdict;
        assert_eq!([verdict(200), verdict(1_400), verdict(-1_000)], [Verdict::Ok; 3]);
        assert_eq!([verdict(1_401), verdict(-1_001), verdict(7_200_000)], [Verdict::Warn; 3]);
    }
}
