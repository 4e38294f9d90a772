//! What only cells count, and what has to have happened in a batch of them.
use std::collections::BTreeMap;
use std::fmt;

use super::fault::Fault;
use crate::invariants::Invariant;
use crate::report::{Figures, Report, unseen};

/// What is counted of cells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellFigures {
    /// Owners that took a session over, as the gateways tell.
    pub takeovers: u64,
    /// Processes of gateways.
    pub lives: u64,
    /// Operations that nodes asked the store for.
    pub operations: u64,
    /// Transactions that the store committed.
    pub commits: u64,
    /// Packets that a gateway passed wrongly, which is forgiven because its clock stood still or there was a copy of it.
    pub pardons: u64,
    /// How often each invariant was judged.
    pub checks: BTreeMap<Invariant, u64>,
}

/// What was simulated of cells.
pub type CellReport = Report<CellFigures>;

/// Beside faults and invariants: what a batch that says something has seen. The rarest, `decline`, happens some 10 times in 250 cells.
///
/// Not here, because none of 7,000 cells came to it: a record that its own gateway does not hold ("reconciled"). Wishes are withdrawn before
/// they are given up, so nobody is given what it does not wait for. The node's own tests have it.
const EXPECTED: &[&str] = &[
    "create",
    "update",
    "terminate",
    "read",
    "take",
    "release",
    "decline",
    "joined",
    "right lost",
    "fence ending",
    "outcome unknown",
    "crash",
    "store refused",
    "buried",
    "swept",
    "copy seen",
    "attack TakeoverInit",
    "attack Data",
    "attack HsInit",
    "attack Reattach",
];

impl CellFigures {
    pub(crate) fn note_checks(&mut self, invariant: Invariant, count: u64) {
        *self.checks.entry(invariant).or_default() += count;
    }
}

impl Figures for CellFigures {
    const NAME: &'static str = "cells";
    const COVERED_AFTER: u64 = 400;

    fn add(&mut self, other: &CellFigures) {
        self.takeovers += other.takeovers;
        self.lives += other.lives;
        self.operations += other.operations;
        self.commits += other.commits;
        self.pardons += other.pardons;
        for (invariant, count) in &other.checks {
            self.note_checks(*invariant, *count);
        }
    }

    fn missing(&self, seen: &BTreeMap<String, u64>) -> Vec<String> {
        let faults: Vec<String> = Fault::NAMES.iter().map(|name| format!("fault {name}")).collect();
        let unseen = unseen(faults.iter().map(String::as_str).chain(EXPECTED.iter().copied()), seen);
        let unjudged = Invariant::CELL.iter().filter(|invariant| !self.checks.contains_key(*invariant));
        unseen.into_iter().chain(unjudged.map(|invariant| format!("check of {}", invariant.name()))).collect()
    }

    fn checks(&self) -> Vec<(&'static str, u64)> {
        self.checks.iter().map(|(invariant, count)| (invariant.name(), *count)).collect()
    }
}

impl fmt::Display for CellFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} takeovers, {} gateway lives, {} store operations, {} commits, {} checks, {} pardons",
            self.takeovers,
            self.lives,
            self.operations,
            self.commits,
            self.checks.values().sum::<u64>(),
            self.pardons
        )
    }
}
