//! A cell in virtual time: gateways with an ownership node each, one store, clients with two links, and everything that breaks.
//!
//! Engines are those of `jumpvpn-engine`, nodes those of `jumpvpn-ownership`; between the two stands what `jumpvpn-runtime` puts
//! there, two threads with queues and one number for the right to act. The store is one linearizable map whose operations take
//! their time ([`store`]). What is judged, after every step and on what nobody inside can see, are the invariants I1 to I14
//! ([`truth`], [`crate::Invariant::CELL`]).
//!
//! Some troubles are beyond what the algorithm promises to withstand, and then exactly that is judged which it does promise:
//!
//! - *A machine whose clock stood still* (a virtual machine that was paused), and *a machine of which there is a copy*: for as
//!   long as one lease after the machine went on, or after the copy was gone, it may pass packets although somebody else owns the
//!   session by now (I1, I7), or has ended it (I13). Still promised: each epoch has one owner (I2), no client accepts
//!   anything under an older epoch (I4), no key and number come twice (I5). What was forgiven is counted as pardons.
//!   A copy that ends before its heart has beaten is never noticed: what it gave away or took over in the name of its original, that
//!   one goes on with until it writes to the store about the session, or gets another name.
//!   A copy may take a session over while the original tells the client that it has not: that client cannot prove itself any
//!   more and is owed nothing but its own timeout (I14).
//!   The memory of a copied engine is not copied, because an engine cannot be: the copy has the node's memory and no sessions.
//! - *A store that was emptied or put back* is another store: its revisions fall, which the adapter notices, so every process
//!   ends at its next operation. What the store promises (I2, I3, I10, I13) is promised for each of its lives. What clients and
//!   gateways see (I1, I3, I4, I5) is promised across all of them. Where a person keeps what a store was put back to, against the
//!   handbook, a client that knows more than the store cannot prove itself and is owed nothing but its own timeout (I14). Such a store
//!   grants owner epochs once more; it is no second owner who passes packets under one of those after the store was put back (I1).
//! - *A wall clock that was set* moves the end of sessions: I13 goes by the wall clock of the gateway that passes the packet.
//!
//! Deliberately not here: the kernel's dead-man switch and its tail of packets, routers, real stores. The lab has those.
mod fault;
mod machine;
mod plan;
mod report;
mod store;
#[cfg(test)]
mod tests;
mod truth;
mod world;

pub use report::{CellFigures, CellReport};
use world::{Manner, World};

use crate::invariants::{Invariant, Verdict, ensure};
use crate::scenario::BEGIN;
use crate::{FAILURE_LINES, Failure, Options, caught};

/// Lives through the cell of that seed, twice: with somebody who takes the gateways' events, and without (I12).
///
/// # Errors
/// The first promise that was broken, with the end of the story.
pub fn run_cell(seed: u64, options: Options, plant: Option<Invariant>) -> Result<CellReport, Box<Failure>> {
    let (outcome, mut world) = live(seed, options, options.trace_lines, Manner { sink: true, plant });
    let outcome = outcome.and_then(|()| deaf(seed, options, &mut world, plant));
    let Err(breach) = outcome else { return Ok(world.report) };
    if options.trace_lines == 0 {
        // The same world once more, this time written down.
        world = live(seed, options, FAILURE_LINES, Manner { sink: true, plant }).1;
    }
    Err(Box::new(Failure {
        seed,
        step: world.steps,
        at: world.now.since(BEGIN),
        invariant: breach.invariant,
        what: breach.what,
        trace: world.trace.take(),
    }))
}

/// Lives through the cell of that seed and tells the story.
pub fn tell_cell(
    seed: u64,
    options: Options,
    plant: Option<Invariant>,
) -> (Result<CellReport, String>, Vec<String>) {
    let (outcome, mut world) = live(seed, options, options.trace_lines, Manner { sink: true, plant });
    let outcome = outcome.map_err(|breach| format!("[{}] {}", breach.invariant.name(), breach.what));
    let story = world.trace.take();
    (outcome.map(|()| world.report), story)
}

/// I12: the same world, where nobody takes the gateways' events.
fn deaf(seed: u64, options: Options, heard: &mut World, plant: Option<Invariant>) -> Verdict {
    let (outcome, deaf) = live(seed, options, 0, Manner { sink: false, plant });
    outcome?;
    let (with, without) = (heard.report.digest, deaf.report.digest);
    heard.report.own.note_checks(Invariant::SinkIsMute, 1);
    ensure(with == without, Invariant::SinkIsMute, || {
        format!("digest {with:016x} with a sink, {without:016x} without")
    })
}

fn live(seed: u64, options: Options, trace_lines: usize, manner: Manner) -> (Verdict, World) {
    let mut world = World::new(seed, options.seconds, trace_lines, manner);
    let outcome = caught(|| world.run());
    (outcome, world)
}
