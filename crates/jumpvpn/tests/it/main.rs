//! The binary from outside: output, exit codes and the control socket's client, as scripts see them.

#![allow(clippy::unwrap_used, reason = "a failing test may panic")]

mod bed;
mod bench;
mod cell;
mod config;
mod control;
mod daemon;
mod documents;
mod durable;
mod exhaustion;
mod keys;
mod list;
mod privilege;
mod secrets;
mod shipped;
mod telemetry;
mod world;
