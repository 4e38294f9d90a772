//! Figures of worlds that kept every promise.
use std::fmt;
use std::time::Duration;

/// What was simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
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
    /// Sessions born.
    pub births: u64,
    /// Committed moves.
    pub jumps: u64,
    /// Events proven by both sides' files.
    pub events: u64,
    /// Longest time from the end of all trouble until everybody was well.
    pub longest_recovery: Duration,
}

impl Report {
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
        self.longest_recovery = self.longest_recovery.max(other.longest_recovery);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} seeds, {:.2} virtual hours, {} datagrams, {} attacks, {} packets, {} sessions, {} jumps, {} events, \
             slowest recovery {:.1} s",
            self.seeds,
            self.virtual_time.as_secs_f64() / 3600.0,
            self.datagrams,
            self.attacks,
            self.packets,
            self.births,
            self.jumps,
            self.events,
            self.longest_recovery.as_secs_f64()
        )
    }
}
