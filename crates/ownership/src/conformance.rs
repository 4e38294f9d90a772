//! The suite every store must pass, whatever it is made of.
//!
//! A store's tests implement [`Harness`] and call [`run`]. Each check panics with what went wrong. A store that answers
//! [`Outcome::Unknown`] now and then passes, because the suite does what the ownership core does: it repeats the identical operation
//! until the answer is definite. What a suite cannot check from outside (durability, several processes, the store's own
//! end) is left to the tests of the store.

use std::collections::BTreeMap;

use crate::{Change, Compare, Key, Operation, Outcome, OwnershipStore, Rev, Stored, Ticket, Transaction};

mod checks;
mod dice;
mod faulty;
mod histories;
mod race;

pub use dice::Dice;
pub use faulty::{Faults, Faulty};

/// What the suite needs to know of a store.
pub trait Harness {
    /// An empty store.
    fn open(&mut self) -> Box<dyn OwnershipStore>;

    /// Called when there is nothing to poll although something was submitted: returns when an outcome may have arrived.
    /// Panics when none ever will.
    fn wait(&mut self);

    /// Attempts at one key in the race; 10,000 unless the store is too slow for it.
    fn attempts(&self) -> u32 {
        10_000
    }
}

/// Runs every check on fresh stores.
///
/// # Panics
/// If the store does not conform.
pub fn run(harness: &mut dyn Harness) {
    for check in checks::ALL {
        check(&mut Client::new(harness));
    }
    race::one_winner_per_revision(&mut Client::new(harness));
    for seed in 1..=20 {
        histories::one_by_one(&mut Client::new(harness), seed);
        histories::at_once(&mut Client::new(harness), seed);
    }
    for seed in 1..=20 {
        histories::unknown(&mut Client::faulty(harness, seed), seed);
    }
}

/// Numbers operations and waits for their outcomes.
pub(crate) struct Client<'a> {
    harness: &'a mut dyn Harness,
    store: Box<dyn OwnershipStore>,
    next: u64,
}

impl<'a> Client<'a> {
    fn new(harness: &'a mut dyn Harness) -> Client<'a> {
        let store = harness.open();
        Client { harness, store, next: 1 }
    }

    /// With one operation in three that goes wrong.
    fn faulty(harness: &'a mut dyn Harness, seed: u64) -> Client<'a> {
        let faults = Faults { request_lost: 110, answer_lost: 110, late: 110 };
        let store = Box::new(Faulty::new(Boxed(harness.open()), faults, seed));
        Client { harness, store, next: 1 }
    }

    fn submit(&mut self, operation: Operation) -> Ticket {
        self.next += 1;
        let ticket = Ticket(self.next);
        self.store.submit(ticket, operation);
        ticket
    }

    /// The outcomes of those operations, which are all that are open.
    fn outcomes(&mut self, tickets: &[Ticket]) -> Vec<Outcome> {
        let mut arrived: BTreeMap<Ticket, Outcome> = BTreeMap::new();
        while arrived.len() < tickets.len() {
            let Some((ticket, outcome)) = self.store.poll() else {
                self.harness.wait();
                continue;
            };
            assert!(tickets.contains(&ticket), "an outcome of {ticket:?}, which is not open");
            assert_eq!(arrived.insert(ticket, outcome), None, "two outcomes of {ticket:?}");
        }
        tickets.iter().map(|ticket| arrived.remove(ticket).expect("it has arrived")).collect()
    }

    /// The outcome of an operation that changes nothing, or may be repeated.
    fn definite(&mut self, operation: &Operation) -> Outcome {
        loop {
            let ticket = self.submit(operation.clone());
            let outcome = self.outcomes(&[ticket]).remove(0);
            if outcome != Outcome::Unknown {
                return outcome;
            }
        }
    }

    fn read(&mut self, key: &Key) -> Option<Stored> {
        match self.definite(&Operation::Read(key.clone())) {
            Outcome::Found(stored) => stored,
            other => panic!("read: {other:?}"),
        }
    }

    fn list(&mut self, prefix: &Key, after: Option<&Key>, limit: usize) -> (Vec<(Key, Stored)>, bool) {
        let operation = Operation::List { prefix: prefix.clone(), after: after.cloned(), limit };
        match self.definite(&operation) {
            Outcome::Listed { entries, more } => (entries, more),
            other => panic!("list: {other:?}"),
        }
    }

    /// Commits a transaction whose values are its own and whose compares are false once it is applied; says its
    /// revision, or what stood in its way.
    fn commit(&mut self, transaction: &Transaction) -> Result<Rev, Vec<Option<Stored>>> {
        let operation = Operation::Commit(transaction.clone());
        let mut repeated = false;
        loop {
            let ticket = self.submit(operation.clone());
            match self.outcomes(&[ticket]).remove(0) {
                Outcome::Unknown => repeated = true,
                Outcome::Committed(rev) => return Ok(rev),
                Outcome::Conflict(current) if repeated => {
                    return own_revision(transaction, &current).ok_or(current);
                }
                Outcome::Conflict(current) => return Err(current),
                other => panic!("commit: {other:?}"),
            }
        }
    }

    /// Puts one value, whatever stood there.
    fn put(&mut self, key: &Key, value: &[u8]) -> Rev {
        let compares = vec![match self.read(key) {
            Some(Stored { rev, value }) => Compare::Is { key: key.clone(), rev, value },
            None => Compare::Absent { key: key.clone() },
        }];
        let changes = vec![put(key, value)];
        self.commit(&Transaction { compares, changes }).expect("nobody else writes")
    }
}

/// A boxed store as a store.
struct Boxed(Box<dyn OwnershipStore>);

impl OwnershipStore for Boxed {
    fn submit(&mut self, ticket: Ticket, operation: Operation) {
        self.0.submit(ticket, operation);
    }

    fn poll(&mut self) -> Option<(Ticket, Outcome)> {
        self.0.poll()
    }
}

/// The revision an earlier copy of the transaction got, if what stands in the way is what it wrote.
fn own_revision(transaction: &Transaction, current: &[Option<Stored>]) -> Option<Rev> {
    transaction.compares.iter().zip(current).find_map(|(compare, current)| {
        let current = current.as_ref()?;
        let wrote = |change: &Change| matches!(change, Change::Put { key, value } if key == compare.key() && *value == current.value);
        transaction.changes.iter().any(wrote).then_some(current.rev)
    })
}

fn key(name: &str) -> Key {
    Key::new(name.as_bytes())
}

fn put(key: &Key, value: &[u8]) -> Change {
    Change::Put { key: key.clone(), value: value.into() }
}

fn is(key: &Key, rev: Rev, value: &[u8]) -> Compare {
    Compare::Is { key: key.clone(), rev, value: value.into() }
}

fn stored(rev: Rev, value: &[u8]) -> Stored {
    Stored { rev, value: value.into() }
}
