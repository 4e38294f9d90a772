//! Tests of the counters.

use super::*;

#[test]
fn transitions_count_and_merge() {
    let mut one = Transitions::default();
    one.record(State::Birth, State::Attached);
    one.record(State::Attached, State::Volatile);
    one.record(State::Attached, State::Volatile);
    let mut sum = one.clone();
    sum.merge(&one);
    assert_eq!(sum.count(State::Attached, State::Volatile), 4);
    assert_eq!(sum.count(State::Volatile, State::Attached), 0);
    assert_eq!(sum.iter().count(), 2);
}

#[test]
fn drops_count_and_saturate() {
    let mut drops = DropCounters::default();
    drops.record(Reason::Malformed);
    drops.add(Reason::BadSeal, u64::MAX);
    drops.record(Reason::BadSeal);
    assert_eq!(drops.count(Reason::BadSeal), u64::MAX);
    assert_eq!(drops.total(), u64::MAX);
    assert_eq!(drops.iter().collect::<Vec<_>>(), [(Reason::Malformed, 1), (Reason::BadSeal, u64::MAX)]);
}
