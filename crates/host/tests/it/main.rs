//! The machine's network, each test in a network namespace of its own.
#![allow(clippy::unwrap_used, reason = "a failing step is a failing test")]

mod flat_site;
mod gateway;
mod monitor;
mod netns;
mod network;
mod tunnel;
