//! Tests of the damping.

use super::*;

fn at(secs: u64) -> Time {
    Time::from_millis(secs * 1_000)
}

#[test]
fn a_path_that_never_died_is_not_held() {
    let policy = Policy::spec_default();
    let mut flaps = Flaps::new();
    flaps.record_up(&policy, at(5));
    assert_eq!((flaps.count(), flaps.held_until()), (0, None));
}

#[test]
fn holds_double_and_are_counted_from_the_return() {
    let policy = Policy::spec_default();
    let mut flaps = Flaps::new();
    flaps.record_up(&policy, at(0));
    let mut holds = Vec::new();
    for round in 1..=7 {
        flaps.record_down(&policy, at(100 * round));
        flaps.record_up(&policy, at(100 * round + 50));
        let until = flaps.held_until().unwrap();
        holds.push(until.since(at(100 * round + 50)).as_secs());
    }
    assert_eq!(holds, [10, 20, 40, 80, 160, 300, 300]);
}

#[test]
fn repeated_news_of_the_same_state_changes_nothing() {
    let policy = Policy::spec_default();
    let mut flaps = Flaps::new();
    flaps.record_up(&policy, at(0));
    flaps.record_down(&policy, at(1));
    flaps.record_down(&policy, at(2));
    assert_eq!(flaps.count(), 1, "it cannot die twice in a row");
    flaps.record_up(&policy, at(3));
    let held = flaps.held_until();
    flaps.record_up(&policy, at(9));
    assert_eq!(flaps.held_until(), held);
}

#[test]
fn a_long_life_restores_trust() {
    let policy = Policy::spec_default();
    let mut flaps = Flaps::new();
    for round in 0..20 {
        flaps.record_up(&policy, at(2 * round));
        flaps.record_down(&policy, at(2 * round + 1));
    }
    assert_eq!(flaps.count(), 20);
    flaps.record_up(&policy, at(100));
    flaps.record_down(&policy, at(100) + policy.switching.flap_hold_max);
    assert_eq!(flaps.count(), 1);
}

#[test]
fn endless_flapping_saturates() {
    let policy = Policy::spec_default();
    let mut flaps = Flaps::new();
    for round in 0..1_000 {
        flaps.record_up(&policy, at(round));
        flaps.record_down(&policy, at(round));
    }
    assert_eq!(flaps.count(), u8::MAX);
    assert_eq!(flaps.held_until(), Some(at(999) + policy.switching.flap_hold_max));
}
