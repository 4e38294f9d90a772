//! Agent and gateway against each other over a small world of two paths, in virtual time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod allocation;
mod birth;
mod cell;
mod clauses;
mod deaf;
mod elsewhere;
mod ends;
mod forwarder;
mod greedy;
mod hostile;
mod hours;
mod journey;
mod jump;
mod listing;
mod members;
mod moves;
mod refusals;
mod rogue;
mod stuck;
mod takeover;
mod takeover_refusals;
mod town;
mod waits;
mod wild;
mod world;
