//! Tests of what a full branch remembers.

use std::sync::mpsc::{Receiver, sync_channel};

use super::*;

fn take(other_side: &Receiver<Branched<u32>>) -> (u64, Option<u32>) {
    let taken = other_side.try_recv().unwrap();
    (taken.missed_count, taken.what)
}

#[test]
fn what_did_not_fit_is_told_before_what_follows() {
    let (queue, other_side) = sync_channel(1);
    let mut branch = Branch::new(queue);
    assert!(branch.offer(1) && !branch.offer(2) && !branch.offer(3));
    branch.miss(5);
    assert!(!branch.catch_up(), "there is no room");
    assert_eq!(take(&other_side), (0, Some(1)));
    assert!(branch.offer(4));
    assert_eq!(take(&other_side), (7, Some(4)));
    assert!(branch.catch_up(), "nothing is owed");
    assert!(other_side.try_recv().is_err());
}

#[test]
fn what_is_owed_is_told_at_the_end() {
    let (queue, other_side) = sync_channel(1);
    let mut branch: Branch<u32> = Branch::new(queue);
    branch.miss(2);
    branch.finish();
    assert_eq!(take(&other_side), (2, None));
}
