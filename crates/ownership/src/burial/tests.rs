//! Tests of declaring the dead dead.

use std::time::Duration;

use super::*;
use crate::ledger::Seeded;
use crate::{Limits, MemoryStore, Node, NodeConfig, Profile, Standing, Upkeep};

const NOW: Time = Time::from_millis(10_000);

fn config() -> NodeConfig {
    NodeConfig {
        node_id: [0, 0, 0, 1],
        name: "gw1".into(),
        public: [0; 32],
        cell: 0,
        store_generation: None,
        boot_id: [1; 16],
        data_dir: [2; 16],
        profile: Profile::DEFAULT,
        clock: WallClock { zero_ms: 1_700_000_000_000 },
        upkeep: Upkeep::DEFAULT,
        limits: Limits::CELL,
        orphan_ttl: Duration::from_secs(120),
    }
}

fn deceased() -> Deceased {
    let NodeConfig { node_id, boot_id, data_dir, .. } = config();
    Deceased { node_id, boot_id, data_dir }
}

/// Carries out what the node wants, until it wants nothing more.
fn settle(node: &mut Node<Seeded>, store: &mut MemoryStore, now: Time) {
    while let Some((ticket, operation)) = node.poll_operation() {
        node.handle_outcome(ticket, store.apply(&operation), now);
    }
}

/// A store with a node that has joined.
fn joined() -> (Node<Seeded>, MemoryStore) {
    let (mut node, mut store) = (Node::new(config(), Seeded(7), NOW), MemoryStore::new());
    settle(&mut node, &mut store, NOW);
    assert_eq!(node.standing(), &Standing::Member);
    (node, store)
}

/// The verdict of a store that answers.
fn bury(of: Deceased, store: &mut MemoryStore) -> Verdict {
    let mut burial = Burial::new(of, config().clock, NOW);
    // Three questions, or four.
    for _ in 0..10 {
        if let Some(verdict) = burial.advance(store.apply(&burial.operation())).unwrap() {
            return verdict;
        }
    }
    panic!("no verdict");
}

fn is_dead(store: &mut MemoryStore, incarnation: Incarnation) -> bool {
    matches!(store.apply(&Operation::Read(keys::tombstone(incarnation))), Outcome::Found(Some(_)))
}

#[test]
fn who_has_ended_here_gets_a_tombstone_and_no_heartbeat_follows() {
    let (mut node, mut store) = joined();
    let me = node.incarnation();
    assert_eq!(bury(deceased(), &mut store), Verdict::Buried(me));
    assert!(is_dead(&mut store, me));
    assert_eq!(store.apply(&Operation::Read(keys::heartbeat(me))), Outcome::Found(None));
    assert_eq!(bury(deceased(), &mut store), Verdict::NothingLeft, "once is enough");
    // Had it not ended, it would find out with its next heartbeat.
    let later = NOW + Duration::from_secs(2);
    node.handle_timeout(later);
    settle(&mut node, &mut store, later);
    assert_ne!(node.incarnation(), me);
}

#[test]
fn nobody_waits_for_who_has_gone_by_itself_or_never_came() {
    assert_eq!(bury(deceased(), &mut MemoryStore::new()), Verdict::NothingLeft);
    let (mut node, mut store) = joined();
    node.stop(NOW);
    settle(&mut node, &mut store, NOW);
    assert_eq!(node.standing(), &Standing::Stopped);
    assert_eq!(bury(deceased(), &mut store), Verdict::NothingLeft);
}

#[test]
fn who_may_live_elsewhere_is_left_alone() {
    let (node, mut store) = joined();
    let before = store.clone();
    for elsewhere in
        [Deceased { boot_id: [9; 16], ..deceased() }, Deceased { data_dir: [9; 16], ..deceased() }]
    {
        assert_eq!(bury(elsewhere, &mut store), Verdict::Elsewhere(node.incarnation()));
    }
    assert_eq!(bury(Deceased { node_id: [9; 4], ..deceased() }, &mut store), Verdict::NothingLeft);
    assert!(store == before, "nothing was written");
}

/// A process can have been killed with a heartbeat on its way.
#[test]
fn a_heartbeat_that_arrives_late_is_judged_anew() {
    let (mut node, mut store) = joined();
    let mut burial = Burial::new(deceased(), config().clock, NOW);
    for _ in 0..2 {
        assert_eq!(burial.advance(store.apply(&burial.operation())), Ok(None));
    }
    let later = NOW + Duration::from_secs(1);
    node.handle_timeout(later);
    let (_, beat) = node.poll_operation().unwrap();
    assert!(matches!(store.apply(&beat), Outcome::Committed(_)));
    assert_eq!(burial.advance(store.apply(&burial.operation())), Ok(None), "it does not hold any more");
    assert_eq!(burial.advance(store.apply(&burial.operation())), Ok(None));
    let verdict = burial.advance(store.apply(&burial.operation()));
    assert_eq!(verdict, Ok(Some(Verdict::Buried(node.incarnation()))));
}

#[test]
fn what_is_not_known_is_asked_for_again() {
    let (node, mut store) = joined();
    let mut burial = Burial::new(deceased(), config().clock, NOW);
    for applied in [false, false, true] {
        let operation = burial.operation();
        assert_eq!(burial.advance(Outcome::Unknown), Ok(None));
        assert_eq!(burial.operation(), operation, "the same");
        if applied {
            store.apply(&operation);
        } else {
            assert_eq!(burial.advance(store.apply(&operation)), Ok(None));
        }
    }
    assert_eq!(burial.advance(store.apply(&burial.operation())), Ok(Some(Verdict::NothingLeft)));
    assert!(is_dead(&mut store, node.incarnation()));
    assert_eq!(burial.advance(Outcome::Lost(StoreError::Foreign)), Err(StoreError::Foreign));
}

#[test]
fn values_of_another_kind_are_not_touched() {
    let (node, mut store) = joined();
    for key in [keys::heartbeat(node.incarnation()), keys::node(config().node_id)] {
        let changes = vec![crate::Change::Put { key, value: b"later"[..].into() }];
        store.apply(&Operation::Commit(Transaction { compares: Vec::new(), changes }));
        let before = store.clone();
        assert_eq!(bury(deceased(), &mut store), Verdict::Unreadable);
        assert!(store == before);
    }
}
