//! The arena of the load attacks: the real gateway, a node full of clients and a node of a stranger.
//!
//! ```text
//!  swarm ──10.200.1.0/24── gateway ──10.200.2.0/24── stranger
//!  100.64.0.0/10           192.0.2.10 (outer)        198.18.0.0/15
//!                          10.64.0.1/10 (inner)
//! ```
//! The prefixes of both sides are local to their nodes as wholes, so that any number of clients and of forged senders
//! has its address. The stranger is off the path: it sees what is sent to its own prefix and may write any source.

mod daemon;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use ipnet::{IpNet, Ipv4Net};
use jumpvpn_host::{HostError, Network, RouteSpec};
use jumpvpn_lab::namespace::Node;
use jumpvpn_lab::veth;

pub use daemon::{Gateway, GatewayOptions, inner_of, pin, resident_bytes};

/// Where the gateway listens (RFC 5737, TEST-NET-1).
pub const GATEWAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)), 4747);
/// The clients' outer addresses: the shared space of carrier NATs (RFC 6598).
pub const CLIENTS: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10);
/// The stranger's addresses, and those it invents (RFC 2544).
pub const STRANGERS: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 15);
/// The gateway inside the tunnel; 4 million inner addresses.
pub const INNER: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 64, 0, 1), 10);

/// The main routing table (RT_TABLE_MAIN).
const MAIN_TABLE: u32 = 254;

/// Three nodes and their cables.
#[derive(Debug)]
pub struct Arena {
    /// Where the clients live.
    pub swarm: Node,
    /// Where the gateway runs.
    pub gateway: Node,
    /// Where the attacker sits.
    pub stranger: Node,
    /// The program under test.
    pub program: PathBuf,
    /// For configurations, logs and event files.
    pub folder: PathBuf,
}

impl Arena {
    /// Builds the nodes; must be called inside the namespaces, once.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn build(program: PathBuf, folder: &Path) -> io::Result<Arena> {
        std::fs::create_dir_all(folder)?;
        let folder = std::path::absolute(folder)?;
        let [swarm, gateway, stranger] = ["swarm", "keep", "stranger"].map(Node::create);
        let arena = Arena { swarm: swarm?, gateway: gateway?, stranger: stranger?, program, folder };
        // Forged sources come in on the wrong link: nothing but the gateway is to refuse them.
        for key in ["net.ipv4.conf.all.rp_filter", "net.ipv4.conf.default.rp_filter"] {
            arena.gateway.set(key, "0")?;
        }
        arena.cable(&arena.swarm, 1, CLIENTS)?;
        arena.cable(&arena.stranger, 2, STRANGERS)?;
        // Whoever is invented seems to be behind the stranger.
        let stranger = Ipv4Addr::new(10, 200, 2, 2);
        arena.gateway.run(|| {
            on_link("to-stranger", |network, index| {
                network.add_route(&route(Ipv4Net::default(), stranger, index))
            })
        })??;
        arena.gateway.run(|| {
            on_link("lo", |network, index| {
                network.set_link_up(index)?;
                network.add_address(index, IpNet::from(GATEWAY.ip()))
            })
        })??;
        Ok(arena)
    }

    /// Joins `node` to the gateway by network `number` and gives it `prefix`.
    fn cable(&self, node: &Node, number: u8, prefix: Ipv4Net) -> io::Result<()> {
        let name = format!("to-{}", node.name());
        let (near, far) = (Ipv4Addr::new(10, 200, number, 1), Ipv4Addr::new(10, 200, number, 2));
        self.gateway.run(|| {
            veth::connect(&name, "eth0", node.namespace())?;
            on_link(&name, |network, index| bring_up(network, index, near))
        })??;
        node.run(|| {
            // An address with a short prefix on the loopback makes the whole prefix local.
            on_link("lo", |network, index| {
                network.set_link_up(index)?;
                network.add_address(
                    index,
                    IpNet::V4(Ipv4Net::new_assert(prefix.hosts().next().unwrap_or(far), prefix.prefix_len())),
                )
            })?;
            on_link("eth0", |network, index| {
                bring_up(network, index, far)?;
                network.add_route(&route(Ipv4Net::default(), near, index))
            })
        })??;
        self.gateway.run(|| on_link(&name, |network, index| network.add_route(&route(prefix, far, index))))?
    }
}

fn bring_up(network: &mut Network, index: u32, address: Ipv4Addr) -> Result<(), HostError> {
    network.add_address(index, IpNet::V4(Ipv4Net::new_assert(address, 24)))?;
    network.set_link_up(index)
}

fn route(destination: Ipv4Net, via: Ipv4Addr, oif: u32) -> RouteSpec {
    let (destination, via) = (IpNet::V4(destination), Some(IpAddr::V4(via)));
    RouteSpec { destination, via, oif: Some(oif), table: MAIN_TABLE, metric: None, source: None }
}

/// Asks the kernel something about a link of the calling thread's node.
fn on_link<T>(name: &str, ask: impl FnOnce(&mut Network, u32) -> Result<T, HostError>) -> io::Result<T> {
    let mut network = Network::open().map_err(io::Error::other)?;
    let index = network.link_index(name).map_err(io::Error::other)?;
    ask(&mut network, index).map_err(io::Error::other)
}
