use sqlx::PgConnection;

use super::check::Answer;

/// Major versions that Partita is tested on.
const MAJORS: std::ops::RangeInclusive<i32> = 15..=18;

/// Minor versions below `fixed_in` have a defect that partitioned tables under detaches run into.
struct Defect {
    major: i32,
    fixed_in: i32,
    what: &'static str,
}

/// Release notes of PostgreSQL 15.8 and 16.4, 2024-08-08: "Fix partition pruning setup during ALTER TABLE DETACH PARTITION
/// CONCURRENTLY": the executor assumed that no partition is detached between planning and execution, so that a query could
/// fail. Retention detaches concurrently beside reads all day. 17.0 is of September of that year and has the mend.
const DEFECTS: [Defect; 2] =
    [Defect { major: 15, fixed_in: 8, what: PRUNING }, Defect { major: 16, fixed_in: 4, what: PRUNING }];
const PRUNING: &str = "reads fail while a month is detached concurrently (pruning of a plan made before)";

/// The major version is one that is tested, the minor one has no defect that is known to hurt.
pub(super) async fn check_version(connection: &mut PgConnection) -> sqlx::Result<Answer> {
    let found = sqlx::query_file!("sql/doctor/find_server.sql").fetch_one(connection).await?;
    Ok(judge_version(found.version_num, &found.version))
}

fn judge_version(version_num: i32, version: &str) -> Answer {
    let (major, minor) = (version_num / 10_000, version_num % 10_000);
    let found = format!("PostgreSQL {version}");
    if major < *MAJORS.start() {
        let fix = format!("pg_upgrade to PostgreSQL {} or newer", MAJORS.start());
        return Answer::fail(format!("{found}: too old"), fix);
    }
    if major > *MAJORS.end() {
        let fix = format!("tested are {} to {}: run the drill on a copy first", MAJORS.start(), MAJORS.end());
        return Answer::warn(format!("{found}: newer than what this release was tested on"), fix);
    }
    match DEFECTS.iter().find(|defect| defect.major == major && minor < defect.fixed_in) {
        Some(defect) => {
            let fix = format!("update to {major}.{} or newer: no dump, a restart", defect.fixed_in);
            Answer::warn(format!("{found}: {}", defect.what), fix)
        }
        None => Answer::ok(found),
    }
}

/// A primary, in which transactions write.
pub(super) async fn check_writable(connection: &mut PgConnection) -> sqlx::Result<Answer> {
    let found = sqlx::query_file!("sql/doctor/find_server.sql").fetch_one(connection).await?;
    if found.is_standby {
        return Ok(Answer::fail(
            "a standby: it replays, and takes no writes",
            "name the primary in DATABASE_URL",
        ));
    }
    if found.is_read_only {
        let fix = "ALTER ROLE CURRENT_USER RESET default_transaction_read_only; -- likewise ALTER DATABASE, or the server's";
        return Ok(Answer::fail("transactions are read-only", fix));
    }
    Ok(Answer::ok("a primary that takes writes"))
}

/// Events are UTF-8; another encoding of the database refuses some of their characters.
pub(super) async fn check_encoding(connection: &mut PgConnection) -> sqlx::Result<Answer> {
    let found = sqlx::query_file!("sql/doctor/find_server.sql").fetch_one(connection).await?;
    if found.encoding == "UTF8" {
        return Ok(Answer::ok("UTF8"));
    }
    let fix = "dump into a database made with ENCODING 'UTF8' TEMPLATE template0";
    Ok(Answer::fail(format!("{}: events hold characters that it lacks", found.encoding), fix))
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn versions_are_refused_below_15_and_warned_of_with_a_known_defect() {
        let verdict = |version_num| judge_version(version_num, "as it says").verdict;
        assert_eq!(verdict(140_013), Verdict::Fail);
        assert_eq!([verdict(150_007), verdict(160_003)], [Verdict::Warn; 2]);
        assert_eq!(
            [verdict(150_008), verdict(160_004), verdict(170_000), verdict(180_001)],
            [Verdict::Ok; 4]
        );
        assert_eq!(verdict(190_000), Verdict::Warn);
    }
}
