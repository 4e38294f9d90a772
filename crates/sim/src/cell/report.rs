//! Figures of cells that kept every promise, and what has to have happened in a batch of them.
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jumpvpn_wire::Kind;

use super::fault::Fault;
use crate::invariants::Invariant;

/// What was simulated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellReport {
    /// Worlds.
    pub seeds: u64,
    /// Their virtual time together.
    pub virtual_time: Duration,
    /// Instants at which something happened.
    pub steps: u64,
    /// Datagrams that engines sent.
    pub datagrams: u64,
    /// Copies and forgeries that somebody else sent.
    pub attacks: u64,
    /// User packets delivered.
    pub packets: u64,
    /// Sessions born, as the clients tell.
    pub births: u64,
    /// Committed moves between links.
    pub jumps: u64,
    /// Owners that took a session over, as the gateways tell.
    pub takeovers: u64,
    /// Processes of gateways.
    pub lives: u64,
    /// Operations that nodes asked the store for.
    pub operations: u64,
    /// Transactions that the store committed.
    pub commits: u64,
    /// Events proven by all sides' files.
    pub events: u64,
    /// Packets that a gateway passed wrongly, which is forgiven because its clock stood still or there was a copy of it.
    pub pardons: u64,
    /// Longest time from the end of all trouble until everybody was well.
    pub longest_recovery: Duration,
    /// A hash over every datagram and every operation of the store, and the moments they happened, in order. Of several worlds it
    /// is the exclusive or.
    pub digest: u64,
    /// How often each invariant was judged.
    pub checks: BTreeMap<Invariant, u64>,
    /// How often each interesting thing happened: faults, refusals, requests.
    pub seen: BTreeMap<String, u64>,
}

/// Beside faults and invariants: what a batch that says something has seen.
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
    "reconciled",
    "copy seen",
    "attack TakeoverInit",
    "attack Data",
    "attack HsInit",
    "attack Reattach",
];

impl CellReport {
    /// Worlds after which everything below has happened, and each invariant was judged.
    pub const COVERED_AFTER: u64 = 500;

    /// What should have happened in a large batch and did not: then the batch says little.
    pub fn missing(&self) -> Vec<String> {
        let faults = Fault::NAMES.iter().map(|name| format!("fault {name}"));
        let others = EXPECTED.iter().map(|what| (*what).to_owned());
        let unseen = faults.chain(others).filter(|what| self.seen_of(what) == 0);
        let judged = |invariant: &&Invariant| !self.checks.contains_key(*invariant);
        let unjudged = Invariant::CELL.iter().filter(judged);
        unseen.chain(unjudged.map(|invariant| format!("check of {}", invariant.name()))).collect()
    }

    /// Something interesting happened so often.
    pub(crate) fn note(&mut self, what: &str, count: u64) {
        if count > 0 {
            *self.seen.entry(what.to_owned()).or_default() += count;
        }
    }

    pub(crate) fn note_attack(&mut self, kind: Kind) {
        self.note(&format!("attack {kind:?}"), 1);
    }

    pub(crate) fn note_checks(&mut self, invariant: Invariant, count: u64) {
        *self.checks.entry(invariant).or_default() += count;
    }

    pub(crate) fn seen_of(&self, what: &str) -> u64 {
        self.seen.get(what).copied().unwrap_or(0)
    }

    /// Adds the figures of other worlds.
    pub fn add(&mut self, other: &CellReport) {
        self.seeds += other.seeds;
        self.virtual_time += other.virtual_time;
        self.steps += other.steps;
        self.datagrams += other.datagrams;
        self.attacks += other.attacks;
        self.packets += other.packets;
        self.births += other.births;
        self.jumps += other.jumps;
        self.takeovers += other.takeovers;
        self.lives += other.lives;
        self.operations += other.operations;
        self.commits += other.commits;
        self.events += other.events;
        self.pardons += other.pardons;
        self.digest ^= other.digest;
        self.longest_recovery = self.longest_recovery.max(other.longest_recovery);
        for (invariant, count) in &other.checks {
            self.note_checks(*invariant, *count);
        }
        for (what, count) in &other.seen {
            self.note(what, *count);
        }
    }

    /// Faults and checks, one per line, for whoever wants to know what a batch has seen.
    pub fn table(&self) -> String {
        let checks = self.checks.iter().map(|(invariant, count)| format!("{count:>12} {}", invariant.name()));
        let seen = self.seen.iter().map(|(what, count)| format!("{count:>12} {what}"));
        checks.chain(seen).collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for CellReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cells, {:.2} virtual hours, {} steps, {} datagrams, {} attacks, {} packets, {} sessions, {} jumps, {} takeovers, \
             {} gateway lives, {} store operations, {} commits, {} events, {} checks, {} pardons, slowest recovery {:.1} s, \
             digest {:016x}",
            self.seeds,
            self.virtual_time.as_secs_f64() / 3600.0,
            self.steps,
            self.datagrams,
            self.attacks,
            self.packets,
            self.births,
            self.jumps,
            self.takeovers,
            self.lives,
            self.operations,
            self.commits,
            self.events,
            self.checks.values().sum::<u64>(),
            self.pardons,
            self.longest_recovery.as_secs_f64(),
            self.digest
        )
    }
}
