//! What the runtime needs of the machine: its network configuration and the rights of this process, as small traits.
//!
//! The room `host` knows how; the binary joins the two, so that neither room depends on the other and the pumps can be
//! tested without touching a machine.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use jumpvpn_events::Time;
use jumpvpn_transport::UdpBinding;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One network interface that exists now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is set up and has a carrier.
    pub up: bool,
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// Whether it is the loopback interface.
    pub loopback: bool,
    /// Addresses that reach beyond the link.
    pub addresses: Vec<IpAddr>,
    /// Whether the main table has a default route for IPv4 over it.
    pub default_v4: bool,
    /// Whether the main table has a default route for IPv6 over it.
    pub default_v6: bool,
}

/// Something that was there and is no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The interface was removed, set down, or lost its carrier.
    Link {
        /// Its index.
        index: u32,
    },
    /// An address was removed.
    Address {
        /// Index of its interface.
        index: u32,
        /// The address.
        address: IpAddr,
    },
    /// A default route of the main table was removed.
    DefaultRoute {
        /// Index of its interface.
        index: u32,
        /// Whether it was the IPv6 one.
        ipv6: bool,
    },
}

/// A batch of changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// To be acted on at once.
    pub losses: Vec<Loss>,
    /// Whether it is worth looking at everything again, soon.
    pub gains: bool,
    /// Whether changes were missed, so that everything has to be looked at now.
    pub overrun: bool,
}

/// Tells what changes on the machine's interfaces. Its descriptor becomes readable when something does.
pub trait LinkWatch: AsRawFd + Send {
    /// What changed since the last call; nothing if nothing is waiting.
    ///
    /// # Errors
    /// The kernel's; the subscription is then of no more use.
    fn try_changes(&mut self) -> io::Result<Option<Changes>>;

    /// All interfaces.
    ///
    /// # Errors
    /// The kernel's.
    fn snapshot(&mut self) -> io::Result<Vec<Interface>>;
}

/// Opens the sockets of an agent's paths, which takes rights that the agent's own process may not have.
pub trait PathSockets: Send {
    /// A socket on the device, bound to the address, whose packets stay out of the tunnel.
    ///
    /// # Errors
    /// One sentence: what was refused.
    fn open(&mut self, local: IpAddr, device: &str) -> Result<UdpBinding, String>;

    /// Whether it has failed for good: none will ever be opened again.
    fn is_gone(&self) -> bool {
        false
    }
}

/// What the process has given up.
#[derive(Clone, Debug, Default)]
pub struct Confined {
    /// It in detail, as `status` shows it.
    pub report: Value,
    /// What the kernel lacks, one sentence each.
    pub warnings: Vec<String>,
}

/// Gives up whatever is not needed any more. Called once, when files, listeners and the interface are open and before
/// the first thread is started.
pub type Confine = Box<dyn FnOnce() -> Result<Confined, MachineError>>;

/// Inner addresses and MTU of a tunnel that is up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelSettings {
    /// Inner addresses with their prefix lengths; empty while no session has been established.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Largest inner packet in bytes.
    pub mtu: u16,
}

/// Why the machine could not be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineError {
    /// One sentence that says what failed and what to do.
    pub message: String,
    /// Whether the process lacks a right.
    pub permission: bool,
}

/// Puts addresses, routes and rules of the tunnel on the machine. The interface exists as long as this is used, and all
/// calls come from one thread.
pub trait TunnelHost {
    /// Removes what a killed process with the same interface name left behind.
    ///
    /// # Errors
    /// What is in the way.
    fn sweep(&mut self) -> Result<(), MachineError>;

    /// Replaces what is in place by what these settings need, without a gap through which packets could leak.
    /// Answers what could not be done but is not fatal, one sentence each.
    ///
    /// # Errors
    /// What failed; nothing of it is in place then.
    fn apply(&mut self, settings: &TunnelSettings) -> Result<Vec<String>, MachineError>;

    /// Leads packets for each added inner address into the tunnel by a route of its own, whose metric is the owner epoch
    /// beside it, and no longer those for each removed one; routing daemons tell the routers. What is so already stays so.
    /// None is in place when a process starts, after [`TunnelHost::apply`] and after [`TunnelHost::remove`].
    ///
    /// # Errors
    /// An address that no session of this gateway can have, or owner epoch 0; nothing of this call is in place then.
    /// Otherwise what the machine refused, after all else was done.
    fn set_inner_routes(&mut self, add: &[(IpAddr, u64)], remove: &[IpAddr]) -> Result<(), MachineError>;

    /// Lets traffic pass the tunnel's interface until this moment; then the kernel cuts it by itself, whatever has become
    /// of this process. A moment that has passed cuts at once. Only for a tunnel with a dead-man switch, through which
    /// nothing passes before the first call.
    ///
    /// # Errors
    /// What the machine refused; what was allowed before runs out.
    fn arm_dead_man(&mut self, until: Time) -> Result<(), MachineError>;

    /// Takes everything away.
    ///
    /// # Errors
    /// What could not be removed.
    fn remove(&mut self) -> Result<(), MachineError>;

    /// Whether it has failed for good: nothing will ever be put on the machine again.
    fn is_gone(&self) -> bool {
        false
    }
}
