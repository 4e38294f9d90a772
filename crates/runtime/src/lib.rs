//! What drives the engines: clock, threads, pumps, event sinks, control socket, signals.
//!
//! [`run_agent`] and [`run_gateway`] are the daemons, from start to end. Each engine has one thread that polls its TUN
//! queue, its sockets and its wake-up calls; everything that may wait for somebody (files, people, the
//! service manager, network configuration) happens on other threads, behind bounded queues.
//!
//! Deliberately not here: configuration files, and how links are watched and routes are set ([`machine`] says what is
//! needed of them).
#![forbid(unsafe_code)]

mod agent;
pub mod clock;
pub mod control;
mod daemon;
mod door;
mod entropy;
mod gateway;
pub mod keeper;
pub mod machine;
mod notify;
#[cfg(feature = "planted")]
mod planted;
mod pump;
mod report;
mod settling;
mod sync;
pub mod telemetry;

pub use agent::listing::{KeepList, ListOptions, ListVerdict};
pub use daemon::{
    AgentOptions, DaemonError, DaemonOptions, Durable, Ended, GatewayOptions, Member, Memory, StoreOptions,
    check_memory, run_agent, run_gateway,
};
pub use entropy::SystemRandom;
pub use gateway::{Bells, Buried, Departed, OpenStore, bury};
#[cfg(feature = "planted")]
pub use planted::plant;
