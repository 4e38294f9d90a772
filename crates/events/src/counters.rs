//! Counters of fixed size, one slot per thing that can be counted: nothing to register, nothing to grow.

use crate::{Reason, State};

/// How often each transition of the session machine happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transitions {
    counts: [[u64; State::ALL.len()]; State::ALL.len()],
}

impl Transitions {
    /// Counts one transition.
    pub fn record(&mut self, from: State, to: State) {
        let slot = &mut self.counts[from as usize][to as usize];
        *slot = slot.saturating_add(1);
    }

    /// How often `from` was left for `to`.
    pub fn count(&self, from: State, to: State) -> u64 {
        self.counts[from as usize][to as usize]
    }

    /// Adds the counts of another one, for a total over shards.
    pub fn merge(&mut self, other: &Transitions) {
        for (from, to, count) in other.iter() {
            let slot = &mut self.counts[from as usize][to as usize];
            *slot = slot.saturating_add(count);
        }
    }

    /// All transitions that happened at least once.
    pub fn iter(&self) -> impl Iterator<Item = (State, State, u64)> + '_ {
        State::ALL
            .into_iter()
            .flat_map(|from| State::ALL.into_iter().map(move |to| (from, to)))
            .map(|(from, to)| (from, to, self.count(from, to)))
            .filter(|(_, _, count)| *count > 0)
    }
}

/// How often something was dropped or refused, by reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropCounters {
    counts: [u64; Reason::COUNT],
}

impl DropCounters {
    /// Counts one drop.
    pub fn record(&mut self, reason: Reason) {
        self.add(reason, 1);
    }

    /// Counts several drops at once.
    pub fn add(&mut self, reason: Reason, count: u64) {
        let slot = &mut self.counts[reason.index()];
        *slot = slot.saturating_add(count);
    }

    /// Drops for that reason so far.
    pub fn count(&self, reason: Reason) -> u64 {
        self.counts[reason.index()]
    }

    /// Drops for all reasons so far.
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Adds the counts of another one, for a total over shards.
    pub fn merge(&mut self, other: &DropCounters) {
        for (reason, count) in other.iter() {
            self.add(reason, count);
        }
    }

    /// All reasons that were counted at least once, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.iter().map(|reason| (*reason, self.count(*reason))).filter(|(_, count)| *count > 0)
    }
}

impl Default for DropCounters {
    fn default() -> DropCounters {
        DropCounters { counts: [0; Reason::COUNT] }
    }
}

#[cfg(test)]
mod tests;
