//! Figures of worlds that kept every promise.
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What was simulated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Worlds.
    pub seeds: u64,
    /// Their virtual time together.
    pub virtual_time: Duration,
    /// Instants at which something happened.
    pub steps: u64,
    /// Datagrams that engines sent.
    pub datagrams: u64,
    /// Verdicts of the gateway that the reference model predicted.
    pub verdicts: u64,
    /// Copies, forgeries and hostile requests that somebody else sent.
    pub attacks: u64,
    /// User packets delivered.
    pub packets: u64,
    /// Sessions born.
    pub births: u64,
    /// Committed moves.
    pub jumps: u64,
    /// Events proven by both sides' files.
    pub events: u64,
    /// Longest time from the end of all trouble until everybody was well.
    pub longest_recovery: Duration,
    /// A hash over the bytes of every datagram and the moment it left, in order: two runs of a seed agree. Of several
    /// worlds it is the exclusive or, which does not depend on their order.
    pub digest: u64,
    /// How often each interesting thing happened: refusals, transitions, faults.
    pub seen: BTreeMap<String, u64>,
}

impl Report {
    /// What should have happened in a large batch and did not: then the batch says little.
    pub fn missing(&self) -> Vec<&'static str> {
        crate::coverage::missing(&self.seen)
    }

    /// Something interesting happened so often.
    pub(crate) fn note(&mut self, what: String, count: u64) {
        if count > 0 {
            *self.seen.entry(what).or_default() += count;
        }
    }

    /// Adds the figures of other worlds.
    pub fn add(&mut self, other: &Report) {
        self.seeds += other.seeds;
        self.virtual_time += other.virtual_time;
        self.steps += other.steps;
        self.datagrams += other.datagrams;
        self.attacks += other.attacks;
        self.packets += other.packets;
        self.births += other.births;
        self.jumps += other.jumps;
        self.events += other.events;
        self.verdicts += other.verdicts;
        self.digest ^= other.digest;
        for (what, count) in &other.seen {
            *self.seen.entry(what.clone()).or_default() += count;
        }
        self.longest_recovery = self.longest_recovery.max(other.longest_recovery);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} seeds, {:.2} virtual hours, {} datagrams, {} verdicts predicted, {} attacks, {} packets, {} sessions, \
             {} jumps, {} events, slowest recovery {:.1} s, digest {:016x}",
            self.seeds,
            self.virtual_time.as_secs_f64() / 3600.0,
            self.datagrams,
            self.verdicts,
            self.attacks,
            self.packets,
            self.births,
            self.jumps,
            self.events,
            self.longest_recovery.as_secs_f64(),
            self.digest
        )
    }
}
