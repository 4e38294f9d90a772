//! A seeded world in virtual time: agents, a gateway, links that fail in every way we know of, translators, a store,
//! somebody who replays and forges; and judgements of everything that happens, by named promises.
//!
//! One seed is one world, always the same: [`run_seed`] generates it, lives through its troubles, lets it calm down and
//! says what was broken, with the story that led there. Engines are the real ones of `jumpvpn-engine`; everything above
//! them (sockets, clocks, devices, stores) is replaced. Deliberately not here: real time, real networks, a cluster.
//!
//! A run of a seed is reproduced byte for byte: [`Report::digest`] covers every datagram.
#![forbid(unsafe_code)]

mod attacker;
mod audit;
mod cell;
mod client;
mod clock;
mod coverage;
mod dice;
mod fault;
mod flight;
mod invariants;
mod model;
mod network;
mod regression;
mod report;
mod scenario;
mod server;
mod tap;
#[cfg(test)]
mod tests;
mod trace;
mod traffic;
mod world;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

pub use cell::{CellFigures, CellReport, run_cell, tell_cell};
pub use coverage::{WorldFigures, WorldReport};
pub use invariants::Invariant;
use invariants::{Breach, Verdict};
pub use regression::Regression;
pub use report::{Figures, Report};
use world::World;

/// How a world is made and told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Virtual seconds of trouble; a few worlds take eight times as long. The calm behind them comes on top.
    pub seconds: u64,
    /// Lines of the story that are kept.
    pub trace_lines: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { seconds: 120, trace_lines: 0 }
    }
}

/// Lines of the story in a failure, where none were asked for.
const FAILURE_LINES: usize = 60;

/// A world that broke a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which world.
    pub seed: u64,
    /// How many instants had passed.
    pub step: u64,
    /// Virtual time since the world began.
    pub at: Duration,
    /// What was broken.
    pub invariant: Invariant,
    /// How.
    pub what: String,
    /// The end of the story.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        let (invariant, at) = (self.invariant.name(), self.at.as_secs_f64());
        write!(f, "seed {}: [{invariant}] at {at:.6} s, step {}: {}", self.seed, self.step, self.what)
    }
}

impl std::error::Error for Failure {}

/// Lives through the world of that seed.
///
/// # Errors
/// The first promise that was broken, with the end of the story.
pub fn run_seed(seed: u64, options: Options) -> Result<WorldReport, Box<Failure>> {
    let (outcome, mut world) = live(seed, options, options.trace_lines);
    let Err(breach) = outcome else { return Ok(world.report) };
    if options.trace_lines == 0 {
        // The same world once more, this time written down.
        world = live(seed, options, FAILURE_LINES).1;
    }
    Err(Box::new(Failure {
        seed,
        step: world.steps,
        at: world.now.since(scenario::BEGIN),
        invariant: breach.invariant,
        what: breach.what,
        trace: world.trace.take(),
    }))
}

/// Lives through the world of that seed and tells the story.
pub fn tell_seed(seed: u64, options: Options) -> (Result<WorldReport, String>, Vec<String>) {
    let (outcome, mut world) = live(seed, options, options.trace_lines);
    let outcome = outcome.map(|()| world.report).map_err(|breach| breach.what);
    (outcome, world.trace.take())
}

fn live(seed: u64, options: Options, trace_lines: usize) -> (Verdict, World) {
    let mut world = World::new(seed, options.seconds, trace_lines);
    let outcome = caught(|| world.run());
    (outcome, world)
}

/// A panic is a promise that was broken.
fn caught(run: impl FnOnce() -> Verdict) -> Verdict {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Breach { invariant: Invariant::Panic, what: text.unwrap_or_else(|| "a panic".to_owned()) })
    })
}
