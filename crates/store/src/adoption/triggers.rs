use sqlx::PgConnection;

use super::finding::Finding;

const MOMENT: &str = "SHARE ROW EXCLUSIVE for milliseconds";

/// Triggers that meet a row of ours, or that forbid the purge one day.
pub(super) async fn judge(connection: &mut PgConnection) -> sqlx::Result<Vec<Finding>> {
    let triggers = sqlx::query_file!("sql/adoption/list_triggers.sql").fetch_all(connection).await?;
    let mut findings = Vec::new();
    for trigger in triggers {
        let disable = format!("ALTER TABLE public.event_store DISABLE TRIGGER {};", trigger.quoted);
        let function = &trigger.function;
        if trigger.on_insert && trigger.is_before {
            let each = if trigger.is_row { "each row" } else { "each append" };
            let found = format!(
                "{function} runs before {each}: it may refuse it, or change it so that both tables differ and its hash is \
                 wrong"
            );
            let sql = format!("{disable} -- once you have read what it does");
            findings.push(Finding::blocks("trigger_before_insert", &trigger.name, found).mend(sql, MOMENT));
        } else if trigger.on_insert {
            let found = format!(
                "{function} runs after each append: it may refuse it, and its time is the append's time"
            );
            findings.push(Finding::hurts("trigger_after_insert", &trigger.name, found));
        }
        if trigger.on_delete || trigger.on_truncate {
            let found = format!(
                "{function} runs on a purge: it may forbid to empty legacy once the migration is over"
            );
            findings.push(Finding::notes("trigger_on_purge", &trigger.name, found).mend(disable, MOMENT));
        }
    }
    Ok(findings)
}

/// Rules rewrite our statements.
pub(super) async fn judge_rules(connection: &mut PgConnection) -> sqlx::Result<Vec<Finding>> {
    let rules = sqlx::query_file!("sql/adoption/list_rules.sql").fetch_all(connection).await?;
    let judged = rules.into_iter().map(|rule| {
        let sql = format!("DROP RULE {} ON public.event_store;", rule.quoted);
        // pg_rewrite.ev_type: 1 SELECT, 2 UPDATE, 3 INSERT, 4 DELETE.
        if rule.event == "3" {
            let found =
                "rewrites INSERT: an append fails, or writes something else, or nothing, and succeeds";
            Finding::blocks("rule_on_insert", rule.name, found).mend(sql, "ACCESS EXCLUSIVE for milliseconds")
        } else {
            let found = "rewrites UPDATE or DELETE: a purge may do nothing and say that it was done";
            Finding::notes("rule_on_purge", rule.name, found).mend(sql, "ACCESS EXCLUSIVE for milliseconds")
        }
    });
    Ok(judged.collect())
}

/// Constraints of the platform's own, and what hangs on the table.
pub(super) async fn judge_constraints(connection: &mut PgConnection) -> sqlx::Result<Vec<Finding>> {
    let constraints = sqlx::query_file!("sql/adoption/list_constraints.sql").fetch_all(connection).await?;
    let judged = constraints.into_iter().map(|bound| {
        if bound.is_of_another {
            let found = format!("{} points here: legacy cannot be emptied while it does", bound.relation);
            return Finding::notes("foreign_key_of_another", bound.name, found);
        }
        let found = format!("{}: an append that breaks it is refused as LEGACY_CONSTRAINT", bound.definition);
        match bound.kind.as_str() {
            "f" => Finding::hurts(
                "foreign_key",
                bound.name,
                format!("{found}; each append locks the row it points to"),
            ),
            "x" => Finding::hurts("exclusion", bound.name, found),
            _ => Finding::notes("check", bound.name, found),
        }
    });
    Ok(judged.collect())
}
