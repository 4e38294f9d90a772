//! What drives the engines: clock, threads, pumps, event sinks, control socket, signals.
#![forbid(unsafe_code)]

pub mod clock;
pub mod control;
mod entropy;
pub mod telemetry;

pub use entropy::SystemRandom;
