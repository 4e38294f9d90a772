//! Tests of the memory of a session's moves.

use super::*;
use crate::{Class, Health};

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn path(id: u32, rtt_ms: u64) -> PathView {
    let rtt = Some(Duration::from_millis(rtt_ms));
    PathView { health: Health::Alive, warm: true, rtt, ..PathView::new(id, Class::Udp, Time::ZERO) }
}

#[test]
fn it_is_small_and_has_no_heap() {
    assert!(std::mem::size_of::<SwitchHistory>() < 1_024);
    assert!(!std::mem::needs_drop::<SwitchHistory>());
}

#[test]
fn moves_leave_the_minute_one_by_one() {
    let mut history = SwitchHistory::new();
    for second in [0, 10, 20] {
        history.record_switch(at(second * 1_000), 1, 2);
    }
    assert_eq!(history.switches_last_minute(at(20_000)), 3);
    assert_eq!(history.switches_last_minute(at(59_999)), 3);
    assert_eq!(history.switches_last_minute(at(60_000)), 2);
    assert_eq!(history.switches_last_minute(at(80_000)), 0);
    assert_eq!(history.wait_for_budget(at(30_000), 3), Duration::from_secs(30));
    assert_eq!(history.wait_for_budget(at(30_000), 1), Duration::from_secs(50));
    assert_eq!(history.wait_for_budget(at(30_000), 4), Duration::ZERO);
    assert_eq!(history.wait_for_budget(at(30_000), 0), Duration::from_secs(60));
}

/// After the wait that was told, the answer is yes; a moment earlier it is no.
#[test]
fn waits_are_exact() {
    let mut history = SwitchHistory::new();
    for i in 0..40 {
        history.record_switch(at(i * 997), 1, 2);
    }
    let now = at(39 * 997);
    for limit in 1..=SWITCH_CAPACITY as u16 {
        let wait = history.wait_for_budget(now, limit);
        assert!(history.wait_for_budget(now + wait, limit).is_zero(), "limit {limit}");
        if !wait.is_zero() {
            let before = now + wait - Duration::from_nanos(1);
            assert!(!history.wait_for_budget(before, limit).is_zero(), "limit {limit}");
        }
    }
}

#[test]
fn denials_close_together_count_once() {
    let mut history = SwitchHistory::new();
    for i in 0..100 {
        history.record_denial(at(i * 100));
    }
    assert_eq!(history.denials(at(10_000), Duration::from_secs(600)), 2);
    assert_eq!(history.denials(at(10_000), Duration::from_secs(6)), 1);
}

#[test]
fn streaks_grow_with_samples_and_break() {
    let policy = Policy::spec_default();
    let mut history = SwitchHistory::new();
    let (slow, fast) = (path(1, 50), path(2, 10));
    for round in 1..=3 {
        history.record_sample(&policy, at(round * 2_000), &slow, &[fast]);
        assert_eq!(history.streak(2), round as u16);
    }
    history.record_sample(&policy, at(6_050), &slow, &[fast]);
    assert_eq!(history.streak(2), 3, "too soon to be another measurement");
    history.record_sample(&policy, at(8_000), &slow, &[path(2, 49)]);
    assert_eq!(history.streak(2), 0, "not clearly better once");
    history.record_sample(&policy, at(10_000), &slow, &[fast]);
    history.record_sample(&policy, at(12_000), &slow, &[fast, path(3, 5)]);
    assert_eq!((history.streak(2), history.streak(3)), (0, 1), "another one is the best");
    history.record_switch(at(12_500), 1, 3);
    assert_eq!(history.streak(3), 0, "a move starts over");
}
