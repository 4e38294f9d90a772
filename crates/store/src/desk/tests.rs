//! Tests of the desk: every ticket has one outcome, whatever becomes of the thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

fn counted() -> (Waker, Arc<AtomicU64>) {
    let woken = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&woken);
    (
        Arc::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        }),
        woken,
    )
}

#[test]
fn outcomes_come_back_once_and_wake_their_reader() {
    let (waker, woken) = counted();
    let (mut desk, outbox) = desk(waker);
    assert_eq!(desk.poll(), None);
    desk.hand_out(Ticket(1));
    desk.answer(Ticket(2), Outcome::Unknown);
    assert_eq!(woken.load(Ordering::Relaxed), 1, "the desk's own outcomes wake as well");
    outbox.send([(Ticket(1), Outcome::Found(None))]);
    assert_eq!(woken.load(Ordering::Relaxed), 2);
    assert_eq!(desk.poll(), Some((Ticket(2), Outcome::Unknown)));
    assert_eq!(desk.poll(), Some((Ticket(1), Outcome::Found(None))));
    assert_eq!(desk.poll(), None);
}

#[test]
fn what_a_thread_had_when_it_ended_is_lost() {
    let (waker, woken) = counted();
    let (mut desk, outbox) = desk(waker);
    for ticket in 1..=3 {
        desk.hand_out(Ticket(ticket));
    }
    outbox.send([(Ticket(2), Outcome::Unknown)]);
    let before = woken.load(Ordering::Relaxed);
    assert!(std::thread::spawn(move || drop(outbox)).join().is_ok());
    assert_eq!(woken.load(Ordering::Relaxed), before + 1, "somebody has to hear of it");
    assert_eq!(desk.poll(), Some((Ticket(2), Outcome::Unknown)), "what was answered stays answered");
    let lost = Outcome::Lost(StoreError::NotDurable);
    assert_eq!(desk.poll(), Some((Ticket(1), lost.clone())));
    assert_eq!(desk.poll(), Some((Ticket(3), lost)));
    assert_eq!(desk.poll(), None);
}
