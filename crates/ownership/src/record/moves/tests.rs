//! Tests of what is carried on of a session's moves.

use super::*;

fn at(millis: u64) -> Time {
    Time::from_millis(100_000 + millis)
}

#[test]
fn each_move_leaves_the_minute_by_itself() {
    let mut moves = Moves::default();
    for number in 0..100 {
        moves = moves.and_one(at(number * 10_000));
        assert_eq!(u64::from(moves.count()), (number + 1).min(6), "one each ten seconds");
    }
    assert_eq!(moves.last(), Some(at(990_000)));
    let times: Vec<Time> = moves.times().collect();
    assert_eq!(times[..2], [at(990_000), at(980_000)]);
}

/// Each owner cuts to a step: after eight of them a move is never older than it was, and at most eight steps younger.
#[test]
fn times_are_cut_to_the_later_side() {
    let mut moves = Moves::of([at(0)]);
    for number in 1..=8 {
        moves = moves.and_one(at(number * 1_137));
    }
    let first = moves.times().last().unwrap();
    assert!(first >= at(0) && first <= at(8 * 250), "{first:?}");
    assert!(moves.times().is_sorted_by(|newer, older| newer >= older));
}

#[test]
fn there_is_room_for_as_many_as_any_policy_allows() {
    let all = Moves::of((0..40).map(|number| at(100 - number)));
    assert_eq!((all.count(), all.times().count()), (32, 32));
    assert_eq!(all.and_one(at(101)).count(), 32);
    assert_eq!(Moves::of([]), Moves::default());
    assert_eq!((Moves::default().last(), Moves::default().times().count()), (None, 0));
}
