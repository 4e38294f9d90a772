//! Tests of declaring a gateway dead.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use jumpvpn_ownership::{MemoryStore, Operation, OwnershipStore, Profile, Ticket};
use mio::{Poll, Token, Waker};

use super::*;
use crate::daemon::Member;
use crate::gateway::{Bells, OpenStore};
use crate::telemetry::{LogLevel, Options, Telemetry};

/// Far above what anything here takes, even on a machine that does other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// What several processes share.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<MemoryStore>>);

/// One process's way to it.
struct Way {
    store: Shared,
    outcomes: VecDeque<(Ticket, Outcome)>,
    bell: Arc<dyn Fn() + Send + Sync>,
    /// Whether it tells what came of anything.
    tells: bool,
}

impl OwnershipStore for Way {
    fn submit(&mut self, ticket: Ticket, operation: Operation) {
        let outcome = self.store.0.lock().unwrap().apply(&operation);
        self.outcomes.push_back((ticket, if self.tells { outcome } else { Outcome::Unknown }));
        (self.bell)();
    }

    fn poll(&mut self) -> Option<(Ticket, Outcome)> {
        self.outcomes.pop_front()
    }
}

impl Shared {
    fn open(&self, tells: bool) -> OpenStore {
        let store = self.clone();
        Box::new(move |bells: Bells| {
            Ok(Box::new(Way { store, outcomes: VecDeque::new(), bell: bells.outcome, tells }))
        })
    }

    fn departed(&self, member: Member, tells: bool) -> Departed {
        let Member { name, boot_id, data_dir, .. } = member;
        Departed { name, boot_id, data_dir, store: self.open(tells) }
    }
}

fn member() -> Member {
    Member {
        name: "here".into(),
        public: [7; 32],
        cell: 3,
        boot_id: [1; 16],
        data_dir: [2; 16],
        profile: Profile::CALM,
        orphan_ttl: PATIENCE,
    }
}

/// A gateway's process joins, and ends without a word.
fn come_and_go(store: &Shared) {
    let poll = Poll::new().unwrap();
    let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
    let opened = registry::open(store.open(true)).unwrap();
    let options = Options { gateway: "here".into(), file: None, log_level: LogLevel::Quiet, lane_count: 1 };
    let telemetry = Telemetry::start(options).unwrap().telemetry().clone();
    let (registry, door) = opened.start(&member(), None, waker, telemetry).unwrap();
    registry::joined(&registry, &door, PATIENCE, "").map(drop).unwrap();
}

#[test]
fn who_came_and_went_without_a_word_is_declared_dead_once() {
    let store = Shared::default();
    assert_eq!(bury(store.departed(member(), true), PATIENCE), Ok(Buried::Before), "nobody was there");
    come_and_go(&store);
    let elsewhere = Member { data_dir: [9; 16], ..member() };
    assert_eq!(bury(store.departed(elsewhere, true), PATIENCE), Ok(Buried::Elsewhere));
    let other = Member { name: "there".into(), ..member() };
    assert_eq!(bury(store.departed(other, true), PATIENCE), Ok(Buried::Before));
    assert!(matches!(bury(store.departed(member(), true), PATIENCE), Ok(Buried::Now(_))));
    assert_eq!(bury(store.departed(member(), true), PATIENCE), Ok(Buried::Before));
}

#[test]
fn a_store_that_tells_nothing_is_said_to() {
    let store = Shared::default();
    come_and_go(&store);
    let refused = bury(store.departed(member(), false), Duration::ZERO).unwrap_err();
    assert_eq!(refused, "the store does not answer");
    let broken: OpenStore = Box::new(|_| Err("no thread".to_owned()));
    let refused = bury(Departed { store: broken, ..store.departed(member(), true) }, PATIENCE);
    assert_eq!(refused.unwrap_err(), "no thread");
}
