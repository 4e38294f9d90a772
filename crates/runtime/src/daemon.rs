//! The process around the engines: starts everything in an order in which each failure is one clear line, supervises,
//! and takes everything away again, however it ends.
//!
//! The thread that calls [`run_agent`] or [`run_gateway`] becomes the supervisor. It owns what is on the machine (routes,
//! rules, addresses), so that a panic in an engine's thread still removes it, and it holds the TUN device open until then.

mod ground;
mod room;
mod start;
mod supervisor;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jumpvpn_engine::gateway::RouteChange;
use jumpvpn_engine::{agent, gateway};
use jumpvpn_events::{Reason, Time};
use jumpvpn_ownership::Profile;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::agent::listing::ListOptions;
use crate::gateway::OpenStore;
use crate::machine::{Confine, LinkWatch, MachineError, PathSockets, TunnelHost, TunnelSettings};
use crate::telemetry::LogLevel;

pub use room::check_memory;
pub use start::{run_agent, run_gateway};

/// What agents and gateways have in common.
pub struct DaemonOptions {
    /// Name of the interface.
    pub interface: String,
    /// MTU of the interface in bytes; an agent's session may ask for less.
    pub mtu: u16,
    /// Path of the control socket.
    pub control_socket: PathBuf,
    /// File for the events.
    pub events: Option<PathBuf>,
    /// Value of the key `gateway` in events: the name of this program's configuration.
    pub name: String,
    /// What the log on stderr shows.
    pub log_level: LogLevel,
    /// The machine.
    pub host: Box<dyn TunnelHost>,
    /// Gives up what is not needed any more.
    pub confine: Confine,
}

/// What an agent is made of.
pub struct AgentOptions {
    /// The common part.
    pub daemon: DaemonOptions,
    /// The engine's configuration.
    pub engine: agent::Config,
    /// Tells what links there are.
    pub watch: Box<dyn LinkWatch>,
    /// Interfaces that may carry paths; all with a default route when empty.
    pub uplinks: Vec<String>,
    /// Opens the sockets of the paths.
    pub sockets: Box<dyn PathSockets>,
    /// Whether the machine is to be closed before the first session is established.
    pub kill_switch: bool,
    /// The gateways as `show peers` tells them.
    pub gateways: Vec<Value>,
    /// The signed lists of gateways, where some are believed.
    pub list: Option<ListOptions>,
}

/// What a gateway is made of.
pub struct GatewayOptions {
    /// The common part.
    pub daemon: DaemonOptions,
    /// The engine's configuration; `started_minute` is set here.
    pub engine: gateway::Config,
    /// UDP addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// The peers as `show peers` tells them.
    pub peers: Vec<Value>,
    /// Where ownership is kept.
    pub store: StoreOptions,
    /// The signed list of gateways that agents are offered, with its serial.
    pub list: Option<(u64, Vec<u8>)>,
}

/// Where a gateway keeps who owns which session.
pub enum StoreOptions {
    /// In memory: sessions end with the process.
    Memory,
    /// Somewhere that outlives the process.
    Durable(Box<Durable>),
}

/// A store that outlives the process, open.
pub struct Durable {
    /// Its kind, for people.
    pub kind: &'static str,
    /// Who this gateway is among those that share it.
    pub member: Member,
    /// What seals the secrets in it, shared by all its gateways; `None` where it lies in the store itself.
    pub key: Option<Zeroizing<[u8; 32]>>,
    /// The store.
    pub store: OpenStore,
    /// What is remembered of the store from start to start, where it could be exchanged unnoticed.
    pub memory: Option<Memory>,
    /// Whether the tunnel has a dead-man switch, which lets nothing pass unless it is told until when.
    pub dead_man: bool,
}

/// What a gateway remembers of a store that it shares with others.
pub struct Memory {
    /// The generation it had when it was joined last; nothing the first time.
    pub generation: Option<u64>,
    /// Keeps another one, durably.
    pub keep: Box<dyn FnMut(u64) -> std::io::Result<()> + Send>,
    /// What to do where the store has another one and that is meant: one sentence.
    pub hint: String,
}

/// A gateway among those that share a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, unlike all others'.
    pub name: String,
    /// Its static public key, by which agents know it.
    pub public: [u8; 32],
    /// Number of the cell.
    pub cell: u16,
    /// Id of the kernel's life.
    pub boot_id: [u8; 16],
    /// Id of the data directory, which this process holds alone.
    pub data_dir: [u8; 16],
    /// How fast a silent gateway is given up.
    pub profile: Profile,
    /// How long sessions of a dead gateway wait for their clients.
    pub orphan_ttl: Duration,
}

/// How a daemon ended when nothing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By a signal.
    Asked,
    /// The gateway refused the agent for good.
    Refused(Reason),
}

/// Why a daemon did not start, or could not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DaemonError {
    /// One line that says what failed and what to do.
    pub message: String,
    /// Whether the process lacks a right.
    pub permission: bool,
}

impl DaemonError {
    fn failed(message: impl Into<String>) -> DaemonError {
        DaemonError { message: message.into(), permission: false }
    }
}

impl From<MachineError> for DaemonError {
    fn from(error: MachineError) -> DaemonError {
        DaemonError { message: error.message, permission: error.permission }
    }
}

/// What the supervisor is told.
pub(crate) enum Word {
    /// The process received a signal.
    Signal(i32),
    /// A tunnel is up and wants these settings on the machine.
    Tunnel(TunnelSettings),
    /// Sessions came here or went away: routes follow.
    Routes(Vec<RouteChange>),
    /// The gateway may act until then; not a moment longer, whatever becomes of it.
    Right(Time),
    /// An engine's thread ended.
    Ended(Result<Ended, String>),
}
