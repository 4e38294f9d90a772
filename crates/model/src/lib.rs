//! Every order of events, up to a bound: the model checker `stateright` over the code of the house.
//!
//! [`requests`] explores the verifier, tickets, window and state machine under a network that repeats and reorders for
//! ever. [`engines`] explores the two engines as they are, [`threads`] what threads share. What a model does not cover is written down where it stands.
//!
//! Deliberately not here: sockets, threads, clocks, randomness that is not seeded. Nothing depends on this room.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::hash::Hash;

use stateright::{Checker, DiscoveryClassification, HasDiscoveries, Model};

pub mod engines;
pub mod ownership;
pub mod requests;
// With `test` set, which `--all-targets` does although this library has no tests inside, the files of the runtime would look
// for theirs here.
#[cfg(not(test))]
mod sync;
#[cfg(not(test))]
pub mod threads;

/// What an exploration found.
#[derive(Clone, Debug)]
pub struct Found {
    /// States that differ.
    pub states: usize,
    /// Promises that broke, with a shortest history each.
    pub broken: Vec<(&'static str, String)>,
    /// Examples asked for that were found.
    pub examples: BTreeSet<&'static str>,
}

impl Found {
    /// The promises that broke.
    pub fn broken_names(&self) -> BTreeSet<&'static str> {
        self.broken.iter().map(|(name, _)| *name).collect()
    }
}

/// Explores every state, breadth first, so that a history that breaks a promise is a shortest one.
pub fn explore<M>(model: M, threads: usize) -> Found
where
    M: Model + Send + Sync + 'static,
    M::State: Hash + std::fmt::Debug + Send + Sync + PartialEq + Clone,
    M::Action: std::fmt::Debug + PartialEq + Clone,
{
    search(model, threads, HasDiscoveries::All)
}

/// Explores until a promise is broken.
pub fn explore_until_broken<M>(model: M, threads: usize) -> Found
where
    M: Model + Send + Sync + 'static,
    M::State: Hash + std::fmt::Debug + Send + Sync + PartialEq + Clone,
    M::Action: std::fmt::Debug + PartialEq + Clone,
{
    search(model, threads, HasDiscoveries::AnyFailures)
}

fn search<M>(model: M, threads: usize, end: HasDiscoveries) -> Found
where
    M: Model + Send + Sync + 'static,
    M::State: Hash + std::fmt::Debug + Send + Sync + PartialEq + Clone,
    M::Action: std::fmt::Debug + PartialEq + Clone,
{
    let checker = model.checker().threads(threads).finish_when(end).spawn_bfs().join();
    let mut found =
        Found { states: checker.unique_state_count(), broken: Vec::new(), examples: BTreeSet::new() };
    for (name, path) in checker.discoveries() {
        match checker.discovery_classification(name) {
            DiscoveryClassification::Example => {
                found.examples.insert(name);
            }
            DiscoveryClassification::Counterexample => {
                found.broken.push((name, format!("{:?}", path.into_actions())));
            }
        }
    }
    found
}
