//! Figures of worlds that kept every promise.
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What one kind of worlds counts beside what all of them do. Its `Display` are words that fit between commas.
pub trait Figures: Default + fmt::Display + Send {
    /// What a world is called.
    const NAME: &'static str;
    /// Worlds after which everything has happened that [`Figures::missing`] looks for.
    const COVERED_AFTER: u64;

    /// Adds the figures of other worlds.
    fn add(&mut self, other: &Self);

    /// What should have happened in a large batch and did not, where `seen` counts what did.
    fn missing(&self, seen: &BTreeMap<String, u64>) -> Vec<String>;

    /// How often each promise was looked after, where that is counted.
    fn checks(&self) -> Vec<(&'static str, u64)>;
}

/// What was simulated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report<F> {
    /// Worlds.
    pub seeds: u64,
    /// Their virtual time together.
    pub virtual_time: Duration,
    /// Instants at which something happened.
    pub steps: u64,
    /// Datagrams that engines sent.
    pub datagrams: u64,
    /// Copies, forgeries and hostile requests that somebody else sent.
    pub attacks: u64,
    /// User packets delivered.
    pub packets: u64,
    /// Sessions born.
    pub births: u64,
    /// Committed moves between links.
    pub jumps: u64,
    /// Events proven by all sides' files.
    pub events: u64,
    /// Longest time from the end of all trouble until everybody was well.
    pub longest_recovery: Duration,
    /// A hash over the bytes of every datagram, over every operation of a store, and over the moments they happened, in order: two
    /// runs of a seed agree. Of several worlds it is the exclusive or, which does not depend on their order.
    pub digest: u64,
    /// How often each interesting thing happened: refusals, transitions, faults, requests.
    pub seen: BTreeMap<String, u64>,
    /// What only this kind of worlds counts.
    pub own: F,
}

impl<F: Figures> Report<F> {
    /// What should have happened in a batch of this size and did not: then the batch says little. Nothing is asked of a small one.
    pub fn missing(&self) -> Vec<String> {
        if self.seeds < F::COVERED_AFTER { Vec::new() } else { self.own.missing(&self.seen) }
    }

    /// Something interesting happened so often.
    pub(crate) fn note(&mut self, what: impl Into<String>, count: u64) {
        if count > 0 {
            *self.seen.entry(what.into()).or_default() += count;
        }
    }

    pub(crate) fn seen_of(&self, what: &str) -> u64 {
        self.seen.get(what).copied().unwrap_or(0)
    }

    /// Adds the figures of other worlds.
    pub fn add(&mut self, other: &Report<F>) {
        self.seeds += other.seeds;
        self.virtual_time += other.virtual_time;
        self.steps += other.steps;
        self.datagrams += other.datagrams;
        self.attacks += other.attacks;
        self.packets += other.packets;
        self.births += other.births;
        self.jumps += other.jumps;
        self.events += other.events;
        self.digest ^= other.digest;
        self.longest_recovery = self.longest_recovery.max(other.longest_recovery);
        for (what, count) in &other.seen {
            self.note(what, *count);
        }
        self.own.add(&other.own);
    }

    /// Checks and what was seen, one per line, for whoever wants to know what a batch is worth.
    pub fn table(&self) -> String {
        let seen = self.seen.iter().map(|(what, count)| (what.as_str(), *count));
        let lines = self.own.checks().into_iter().chain(seen);
        lines.map(|(what, count)| format!("{count:>12} {what}")).collect::<Vec<_>>().join("\n")
    }
}

impl<F: Figures> fmt::Display for Report<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}, {:.2} virtual hours, {} steps, {} datagrams, {} attacks, {} packets, {} sessions, {} jumps, {} events, {}, \
             slowest recovery {:.1} s, digest {:016x}",
            self.seeds,
            F::NAME,
            self.virtual_time.as_secs_f64() / 3600.0,
            self.steps,
            self.datagrams,
            self.attacks,
            self.packets,
            self.births,
            self.jumps,
            self.events,
            self.own,
            self.longest_recovery.as_secs_f64(),
            self.digest
        )
    }
}

/// What is expected and was not seen.
pub(crate) fn unseen<'a>(
    expected: impl IntoIterator<Item = &'a str>,
    seen: &BTreeMap<String, u64>,
) -> Vec<String> {
    expected.into_iter().filter(|what| !seen.contains_key(*what)).map(str::to_owned).collect()
}
