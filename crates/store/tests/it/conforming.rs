//! The suite of the room that made the contract, run against both stores.

use std::sync::mpsc::Receiver;

use jumpvpn_ownership::OwnershipStore;
use jumpvpn_ownership::conformance::Harness;
use jumpvpn_store::{Sqlite, Waker};

use crate::bed::{Bed, PATIENCE, waker};

/// Opens empty stores, and waits until the last one has something to say.
pub struct Stores<F> {
    open: F,
    woken: Option<Receiver<()>>,
    attempts: u32,
}

impl<F: FnMut(Waker) -> Box<dyn OwnershipStore>> Stores<F> {
    pub fn new(attempts: u32, open: F) -> Stores<F> {
        Stores { open, woken: None, attempts }
    }
}

impl<F: FnMut(Waker) -> Box<dyn OwnershipStore>> Harness for Stores<F> {
    fn open(&mut self) -> Box<dyn OwnershipStore> {
        let (waker, woken) = waker();
        self.woken = Some(woken);
        (self.open)(waker)
    }

    fn wait(&mut self) {
        let woken = self.woken.as_ref().expect("a store is open");
        woken.recv_timeout(PATIENCE).expect("the store has an answer");
    }

    fn attempts(&self) -> u32 {
        self.attempts
    }
}

#[test]
fn sqlite_conforms() {
    let bed = Bed::new();
    let mut count = 0;
    let mut stores = Stores::new(10_000, |waker| {
        count += 1;
        let path = bed.0.join(format!("{count}.db"));
        Box::new(Sqlite::open(&path, [1; 16]).unwrap().start(waker).unwrap())
    });
    jumpvpn_ownership::conformance::run(&mut stores);
}
