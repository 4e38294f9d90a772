//! A store between a gateway and a store, which loses requests and answers and lets requests arrive late.

use std::collections::{BTreeSet, VecDeque};

use super::Dice;
use crate::{Operation, Outcome, OwnershipStore, Ticket};

/// What happens to operations, each in so many of a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Never carried out, and unknown.
    pub request_lost: u64,
    /// Carried out, and unknown.
    pub answer_lost: u64,
    /// Unknown at once, and carried out after up to 16 later operations.
    pub late: u64,
}

/// Tickets of operations that arrive late are out of the way of others.
const LATE: u64 = 1 << 63;

/// A store that fails as a network fails: nothing it says is wrong.
#[derive(Debug)]
pub struct Faulty<S> {
    store: S,
    faults: Faults,
    dice: Dice,
    /// Unknown, whatever the store says.
    hidden: BTreeSet<Ticket>,
    outcomes: VecDeque<(Ticket, Outcome)>,
    /// With the operations that still come before.
    under_way: Vec<(u64, Ticket, Operation)>,
}

impl<S: OwnershipStore> Faulty<S> {
    /// That store with faults.
    pub fn new(store: S, faults: Faults, seed: u64) -> Faulty<S> {
        Faulty {
            store,
            faults,
            dice: Dice::new(seed),
            hidden: BTreeSet::new(),
            outcomes: VecDeque::new(),
            under_way: Vec::new(),
        }
    }

    /// From now on other faults.
    pub const fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// The store behind.
    pub const fn inner(&mut self) -> &mut S {
        &mut self.store
    }

    /// Lets what is under way arrive.
    pub fn arrive(&mut self) {
        for (_, ticket, operation) in std::mem::take(&mut self.under_way) {
            self.store.submit(ticket, operation);
        }
    }

    fn pass_time(&mut self) {
        for (left, ..) in &mut self.under_way {
            *left = left.saturating_sub(1);
        }
        for (_, ticket, operation) in self.under_way.extract_if(.., |(left, ..)| *left == 0) {
            self.store.submit(ticket, operation);
        }
    }
}

impl<S: OwnershipStore> OwnershipStore for Faulty<S> {
    fn submit(&mut self, ticket: Ticket, operation: Operation) {
        self.pass_time();
        let Faults { request_lost, answer_lost, late } = self.faults;
        let fate = self.dice.roll(1_000);
        if fate < request_lost {
            self.outcomes.push_back((ticket, Outcome::Unknown));
        } else if fate < request_lost + answer_lost {
            self.hidden.insert(ticket);
            self.store.submit(ticket, operation);
        } else if fate < request_lost + answer_lost + late {
            self.outcomes.push_back((ticket, Outcome::Unknown));
            let left = 1 + self.dice.roll(16);
            self.under_way.push((left, Ticket(ticket.0 | LATE), operation));
        } else {
            self.store.submit(ticket, operation);
        }
    }

    fn poll(&mut self) -> Option<(Ticket, Outcome)> {
        if let Some(outcome) = self.outcomes.pop_front() {
            return Some(outcome);
        }
        loop {
            let (ticket, outcome) = self.store.poll()?;
            if self.hidden.remove(&ticket) {
                return Some((ticket, Outcome::Unknown));
            }
            if ticket.0 & LATE == 0 {
                return Some((ticket, outcome));
            }
        }
    }
}
