//! This machine, as far as a tunnel needs it: links and addresses, routes and rules, firewall, and the sleep of the
//! machine.
//!
//! [`LinkMonitor`] tells what changed, [`Network`] changes single things and waits for the kernel's acknowledgement,
//! [`TunnelNetwork`] puts everything a tunnel needs on the machine as one transaction and takes it away again.
//! Everything is synchronous. Not here: packets, sockets of paths, and any decision about paths.

#![forbid(unsafe_code)] // rustix and netlink-sys keep the system calls

pub mod clock;
mod debounce;
mod error;
mod firewall;
mod lock;
mod monitor;
mod netlink;
mod network;
mod nft;
mod routing;
mod slot;
mod snapshot;
pub mod suspend;
mod sysctl;
mod tunnel;

pub use debounce::{ADDITION_DELAY, Debounce};
pub use error::HostError;
pub use monitor::{Changed, Changes, LinkMonitor, Loss};
pub use network::{Family, Network};
pub use routing::{RouteSpec, RuleSpec};
pub use slot::TUNNEL_MARK;
pub use snapshot::{DefaultRoute, Link, Snapshot};
pub use tunnel::{NatSpec, TunnelNetwork, TunnelSpec};
