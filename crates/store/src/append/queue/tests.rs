use partita_model::{AppendDraft, ContextDraft, EventDraft, ExpectedVersion, StreamDraft};

use super::*;

impl Queued for Append {
    fn append(&self) -> &Append {
        self
    }
}

fn append(tenant: &str, event_type: &str) -> Append {
    let event =
        EventDraft { event_type: event_type.to_owned(), data: "{}".to_owned(), ..EventDraft::default() };
    let stream = StreamDraft {
        aggregate_type: "order".to_owned(),
        aggregate_id: "1".to_owned(),
        expected: Some(ExpectedVersion::Any),
        events: vec![event],
    };
    let context = ContextDraft { user_id: "ann".to_owned(), ..ContextDraft::default() };
    Append::parse(AppendDraft { tenant_id: tenant.to_owned(), streams: vec![stream], context }).unwrap()
}

fn order(batch: &[Append]) -> Vec<&str> {
    batch.iter().flat_map(Append::events).map(|event| event.event_type.as_str()).collect()
}

fn config() -> LaneConfig {
    LaneConfig {
        batch_events_max: 4,
        queue_events_max: 10,
        tenant_queue_events_max: 8,
        ..LaneConfig::default()
    }
}

#[tokio::test]
async fn a_flood_of_one_tenant_delays_another_by_at_most_a_batch() {
    let queue = FairQueue::new(config());
    for index in 0..7 {
        queue.push(append("flood", &format!("f{index}"))).unwrap();
    }
    queue.push(append("calm", "c0")).unwrap();
    assert_eq!(order(&queue.take_batch().await.unwrap()), ["f0", "c0", "f1", "f2"]);
    assert_eq!(order(&queue.take_batch().await.unwrap()), ["f3", "f4", "f5", "f6"]);
}

#[tokio::test]
async fn a_full_queue_refuses_and_a_tenant_cannot_fill_it_alone() {
    let queue = FairQueue::new(config());
    for index in 0..8 {
        queue.push(append("flood", &format!("f{index}"))).unwrap();
    }
    assert_eq!(queue.push(append("flood", "f8")), Err(Full::Overloaded));
    queue.push(append("calm", "c0")).unwrap();
    queue.push(append("calm", "c1")).unwrap();
    assert_eq!(queue.push(append("calm", "c2")), Err(Full::Overloaded));
}

#[tokio::test]
async fn what_was_put_back_comes_first_and_is_never_refused() {
    let queue = FairQueue::new(config());
    queue.push(append("t", "a")).unwrap();
    let taken = queue.take_batch().await.unwrap().remove(0);
    queue.push(append("t", "b")).unwrap();
    queue.put_back(taken);
    assert_eq!(order(&queue.take_batch().await.unwrap()), ["a", "b"]);
}

#[tokio::test]
async fn a_closed_queue_hands_out_what_waits_and_waits_for_what_is_parked() {
    let queue = FairQueue::new(config());
    queue.push(append("t", "a")).unwrap();
    queue.park();
    queue.close();
    assert_eq!(queue.push(append("t", "late")), Err(Full::Closed));
    assert_eq!(order(&queue.take_batch().await.unwrap()), ["a"]);
    queue.unpark(vec![append("t", "parked-2"), append("t", "parked-1")]);
    assert_eq!(order(&queue.take_batch().await.unwrap()), ["parked-1", "parked-2"]);
    assert!(queue.take_batch().await.is_none());
}
