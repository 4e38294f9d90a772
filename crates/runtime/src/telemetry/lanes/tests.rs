//! Tests of the lanes.

use super::*;

#[test]
fn without_loss_nothing_is_missing() {
    let mut lanes = Lanes::new(2);
    assert_eq!([lanes.accept(0, 1), lanes.accept(1, 1), lanes.accept(0, 2)], [0, 0, 0]);
}

#[test]
fn holes_are_counted_per_lane() {
    let mut lanes = Lanes::new(2);
    lanes.accept(0, 1);
    assert_eq!(lanes.accept(0, 5), 3);
    assert_eq!(lanes.accept(1, 2), 1);
}

#[test]
fn a_loss_at_the_end_is_counted_once() {
    let mut lanes = Lanes::new(1);
    lanes.accept(0, 1);
    assert_eq!(lanes.account_lost(0, 3), 2);
    assert_eq!(lanes.account_lost(0, 3), 0);
    assert_eq!(lanes.accept(0, 4), 0);
}
