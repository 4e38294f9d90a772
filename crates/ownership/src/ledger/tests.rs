//! Tests of the ledger.

use super::rules::record;
use super::*;
use crate::{Expected, RequestId};

#[test]
fn it_keeps_the_rules() {
    rules::run(&mut |capacity| Ledger::new(capacity, 1));
}

/// Many births and deaths: the store never grows beyond its capacity, and what is over gives its place back.
#[test]
fn churn_does_not_grow_it() {
    let mut store = Ledger::new(4, 1);
    for round in 0..10_000_u64 {
        let now = Time::from_millis(round * 1_000);
        let expires = now + std::time::Duration::from_secs(3);
        let handle = Handle::new(round).unwrap();
        let record = SessionRecord { handle, created: now, expires, ..record(7) };
        let answer = store
            .submit(&Request::Create { id: RequestId(2 * round), record: Box::new(record), began: now }, now);
        let Answer::Committed { rev, .. } = answer else { panic!("round {round}: {answer:?}") };
        let expected = Expected { rev, epoch: 1, version: 1 };
        let id = RequestId(2 * round + 1);
        store.submit(&Request::Terminate { id, handle, expected, reason_number: 1 }, now);
        assert!(store.record_count() <= 4);
        assert_eq!(store.tombstones.len(), store.record_count());
        // Records, the cell, the node's name and heartbeat; no address.
        assert_eq!(store.store.key_count(), store.record_count() + 3);
    }
}

#[test]
fn eviction_takes_what_is_over_in_order() {
    let mut store = Ledger::new(16, 1);
    for number in 0..10_u16 {
        let expires = Time::from_millis(u64::from(10 - number));
        let record = SessionRecord { expires, ..record(number) };
        let id = RequestId(u64::from(number) * 2);
        let answer = store
            .submit(&Request::Create { id, record: Box::new(record.clone()), began: Time::ZERO }, Time::ZERO);
        let Answer::Committed { rev, .. } = answer else { panic!("{answer:?}") };
        if number >= 5 {
            let expected = Expected { rev, epoch: 1, version: 1 };
            let id = RequestId(u64::from(number) * 2 + 1);
            let handle = record.handle;
            store.submit(&Request::Terminate { id, handle, expected, reason_number: 1 }, Time::ZERO);
        }
    }
    assert_eq!(store.evict(Time::ZERO), 0);
    assert_eq!(store.evict(Time::from_millis(3)), 3);
    assert_eq!(store.evict(Time::MAX), 2, "live records stay");
    assert_eq!(store.record_count(), 5);
}

#[test]
fn its_fence_never_ends() {
    let fence = Ledger::new(1, 7).fence();
    assert_eq!(fence.epoch, 7);
    assert!(fence.allows(Time::MAX - std::time::Duration::from_nanos(1)));
}
