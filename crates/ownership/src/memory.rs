//! An ordered map as a store: nothing durable, every operation carried out when it is submitted.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use crate::{Change, Key, Operation, Outcome, OwnershipStore, Rev, Stored, Ticket, Transaction};

/// The key space in memory. It lives and dies with the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MemoryStore {
    last_rev: u64,
    entries: BTreeMap<Key, Stored>,
    outcomes: VecDeque<(Ticket, Outcome)>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// Carries an operation out and says what came of it.
    pub fn apply(&mut self, operation: &Operation) -> Outcome {
        match operation {
            Operation::Commit(transaction) => self.commit(transaction),
            Operation::Read(key) => Outcome::Found(self.entries.get(key).cloned()),
            Operation::List { prefix, after, limit } => self.list(prefix, after.as_ref(), *limit),
        }
    }

    /// Keys in use.
    pub fn key_count(&self) -> usize {
        self.entries.len()
    }

    /// Every key in order, with what stands there.
    pub fn entries(&self) -> impl Iterator<Item = (&Key, &Stored)> {
        self.entries.iter()
    }

    fn commit(&mut self, transaction: &Transaction) -> Outcome {
        let mut compares = transaction.compares.iter();
        if !compares.all(|compare| compare.holds(self.entries.get(compare.key()))) {
            let current = |compare: &crate::Compare| self.entries.get(compare.key()).cloned();
            return Outcome::Conflict(transaction.compares.iter().map(current).collect());
        }
        self.last_rev += 1;
        let rev = Rev(self.last_rev);
        for change in &transaction.changes {
            match change {
                Change::Put { key, value } => {
                    self.entries.insert(key.clone(), Stored { rev, value: value.clone() });
                }
                Change::Delete { key } => {
                    self.entries.remove(key);
                }
            }
        }
        Outcome::Committed(rev)
    }

    fn list(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Outcome {
        let begin = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let within = |(key, _): &(&Key, &Stored)| key.0.starts_with(&prefix.0);
        let mut rest = self.entries.range((begin, Bound::Unbounded)).take_while(within);
        let entries = rest.by_ref().take(limit).map(|(key, stored)| (key.clone(), stored.clone())).collect();
        Outcome::Listed { entries, more: rest.next().is_some() }
    }
}

impl OwnershipStore for MemoryStore {
    fn submit(&mut self, ticket: Ticket, operation: Operation) {
        let outcome = self.apply(&operation);
        self.outcomes.push_back((ticket, outcome));
    }

    fn poll(&mut self) -> Option<(Ticket, Outcome)> {
        self.outcomes.pop_front()
    }
}

#[cfg(test)]
mod tests;
