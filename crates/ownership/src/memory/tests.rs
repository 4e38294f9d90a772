//! Tests of the memory store.

use super::*;
use crate::conformance::{self, Harness};

struct Memory;

impl Harness for Memory {
    fn open(&mut self) -> Box<dyn OwnershipStore> {
        Box::new(MemoryStore::new())
    }

    fn wait(&mut self) {
        panic!("an operation has no outcome");
    }
}

#[test]
fn it_conforms() {
    conformance::run(&mut Memory);
}

/// What is wrong with a store.
#[derive(Clone, Copy, Debug)]
enum Flaw {
    RevisionIgnored,
    ValueIgnored,
    ConflictUntold,
    ChangesLost,
    PageRepeated,
    EndOfListUntold,
    TwoWinners,
    AppliedTwice,
    ReadStale,
    BigValuesCut,
}

struct Flawed {
    flaw: Flaw,
    store: MemoryStore,
    count: u32,
    read: Option<Stored>,
}

impl Flawed {
    fn twist(&mut self, operation: &mut Operation) {
        let Operation::Commit(transaction) = operation else {
            if let (Flaw::PageRepeated, Operation::List { after, .. }) = (self.flaw, operation) {
                *after = None;
            }
            return;
        };
        for compare in &mut transaction.compares {
            let crate::Compare::Is { key, rev, value } = compare else { continue };
            let Some(stored) = self.store.entries.get(key) else { continue };
            match self.flaw {
                Flaw::RevisionIgnored => *rev = stored.rev,
                Flaw::ValueIgnored => *value = stored.value.clone(),
                // One attempt in a thousand that comes too late.
                Flaw::TwoWinners if self.count.is_multiple_of(1_000) => {
                    (*rev, *value) = (stored.rev, stored.value.clone());
                }
                _ => {}
            }
        }
        if let (Flaw::ChangesLost, Some(32..)) = (self.flaw, Some(transaction.changes.len())) {
            transaction.changes.pop();
            transaction.changes.remove(30);
        }
        for change in &mut transaction.changes {
            if let (Flaw::BigValuesCut, Change::Put { value, .. }) = (self.flaw, change) {
                *value = value.iter().copied().take(65_535).collect();
            }
        }
    }
}

impl OwnershipStore for Flawed {
    fn submit(&mut self, ticket: Ticket, mut operation: Operation) {
        self.count += 1;
        self.twist(&mut operation);
        if matches!(self.flaw, Flaw::AppliedTwice) && self.count.is_multiple_of(50) {
            self.store.apply(&operation);
        }
        let mut outcome = self.store.apply(&operation);
        match (self.flaw, &mut outcome) {
            (Flaw::ConflictUntold, Outcome::Conflict(current)) => current.fill(None),
            (Flaw::EndOfListUntold, Outcome::Listed { more, .. }) => *more = false,
            (Flaw::ReadStale, Outcome::Found(now)) if self.count.is_multiple_of(20) => {
                std::mem::swap(now, &mut self.read);
            }
            _ => {}
        }
        self.store.outcomes.push_back((ticket, outcome));
    }

    fn poll(&mut self) -> Option<(Ticket, Outcome)> {
        self.store.poll()
    }
}

struct FlawedStores(Flaw);

impl Harness for FlawedStores {
    fn open(&mut self) -> Box<dyn OwnershipStore> {
        Box::new(Flawed { flaw: self.0, store: MemoryStore::new(), count: 0, read: None })
    }

    fn wait(&mut self) {
        panic!("an operation has no outcome");
    }
}

/// A suite that passes whatever it is given would say nothing.
#[test]
fn stores_with_a_flaw_do_not_conform() {
    for flaw in [
        Flaw::RevisionIgnored,
        Flaw::ValueIgnored,
        Flaw::ConflictUntold,
        Flaw::ChangesLost,
        Flaw::PageRepeated,
        Flaw::EndOfListUntold,
        Flaw::TwoWinners,
        Flaw::AppliedTwice,
        Flaw::ReadStale,
        Flaw::BigValuesCut,
    ] {
        let run = || conformance::run(&mut FlawedStores(flaw));
        assert!(std::panic::catch_unwind(run).is_err(), "{flaw:?} passes");
    }
}
