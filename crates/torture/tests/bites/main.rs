//! Does the checker bite? Each bug that can be planted into the store is found, and by the promise that it breaks.
//!
//! Two services that have the bug, the load of `partita-torture`, and its checker. Without a bug the same trial finds
//! nothing: what is found is found because of the bug.

mod trial;

use partita_proof::Kind;

use self::trial::Trial;

async fn bites(bug: &str, trial: Trial, wanted: Kind) {
    let found = trial.play(Some(bug)).await;
    assert!(found.contains(&wanted), "{bug} was found by {found:?} alone");
}

async fn finds_nothing(trial: Trial) {
    assert_eq!(trial.play(None).await, []);
}

#[tokio::test]
async fn a_dropped_event_of_a_batch_is_found_as_lost() {
    bites("drop-event", Trial::Quiet, Kind::LostEvent).await;
}

#[tokio::test]
async fn an_acknowledgement_before_the_commit_is_found_as_a_lost_event() {
    bites("acknowledge-before-commit", Trial::Cuts, Kind::LostEvent).await;
}

#[tokio::test]
async fn a_version_that_is_given_again_after_retention_is_found_by_the_order_of_what_was_known() {
    bites("reuse-version", Trial::ExpiryFinalized, Kind::CommitOrder).await;
}

#[tokio::test]
async fn a_union_that_forgets_the_floor_is_found_as_a_read_of_what_expired() {
    bites("forget-floor", Trial::Expiry, Kind::ExpiredRead).await;
}

#[tokio::test]
async fn on_conflict_do_nothing_is_found_as_tables_that_differ() {
    bites("do-nothing", Trial::Quiet, Kind::TablesDiffer).await;
}

#[tokio::test]
async fn without_a_bug_nothing_is_found() {
    finds_nothing(Trial::Quiet).await;
}

#[tokio::test]
async fn without_a_bug_nothing_is_found_where_commits_are_cut() {
    finds_nothing(Trial::Cuts).await;
}

#[tokio::test]
async fn without_a_bug_nothing_is_found_where_events_expire() {
    finds_nothing(Trial::Expiry).await;
}

#[tokio::test]
async fn without_a_bug_nothing_is_found_where_events_expire_behind_legacy() {
    finds_nothing(Trial::ExpiryFinalized).await;
}
