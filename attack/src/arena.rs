//! The arena of the load attacks: the real gateway, a node full of clients and a node of a stranger.
//!
//! ```text
//!  swarm ──10.200.1.0/24──── gateway ──10.200.2.0/24──── stranger
//!          fd00:200:1::/64             fd00:200:2::/64
//!  100.64.0.0/10             192.0.2.10                  198.18.0.0/15
//!  3fff:c::/32               2001:db8::10                3fff:5::/32
//!                            10.64.0.1/10 (inner)
//! ```
//! The prefixes of both sides are local to their nodes as wholes, so that any number of clients and of forged senders
//! has its address. The stranger is off the path: it sees what is sent to its own prefix and to anybody the gateway does not
//! know, and may write any source. All three have addresses of both families; a trial is played over one ([`Arena::family`]).

mod daemon;
pub mod outer;

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use ipnet::{IpNet, Ipv4Net};
use jumpvpn_host::{HostError, Network, RouteSpec};
use jumpvpn_lab::namespace::Node;
use jumpvpn_lab::plan::{Family, is_here};
use jumpvpn_lab::veth;

pub use daemon::{Gateway, GatewayOptions, inner_of, pin, resident_bytes};

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
    /// Over which the present trial is played.
    pub family: Family,
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
        let arena = Arena {
            swarm: swarm?,
            gateway: gateway?,
            stranger: stranger?,
            program,
            folder,
            family: Family::V4,
        };
        // Forged sources come in on the wrong link: nothing but the gateway is to refuse them.
        for key in ["net.ipv4.conf.all.rp_filter", "net.ipv4.conf.default.rp_filter"] {
            arena.gateway.set(key, "0")?;
        }
        arena.gateway.run(|| on_link("lo", Network::set_link_up))??;
        for (number, node) in [(1, &arena.swarm), (2, &arena.stranger)] {
            node.run(|| on_link("lo", Network::set_link_up))??;
            arena.gateway.run(|| veth::connect(&near_end(node), FAR_END, node.namespace()))??;
            for family in Family::BOTH.into_iter().filter(|family| is_here(*family)) {
                arena.cable(node, number, family)?;
            }
        }
        for family in Family::BOTH.into_iter().filter(|family| is_here(*family)) {
            let address = IpNet::from(outer::gateway(family).ip());
            arena.gateway.run(|| on_link("lo", |network, index| network.add_address(index, address)))??;
            // Whoever is invented seems to be behind the stranger.
            let (node, stranger) = (near_end(&arena.stranger), outer::cable_end(family, 2, 2));
            arena.gateway.run(|| lead(&node, outer::anywhere(family), stranger))??;
        }
        Ok(arena)
    }

    /// Gives both ends of the cable to `node` their addresses, and `node` its prefix.
    fn cable(&self, node: &Node, number: u8, family: Family) -> io::Result<()> {
        let prefix = if number == 1 { outer::clients(family) } else { outer::strangers(family) };
        let [near, far] = [1, 2].map(|end| outer::cable_end(family, number, end));
        let name = near_end(node);
        self.gateway.run(|| on_link(&name, |network, index| bring_up(network, index, near)))??;
        node.run(|| on_link(FAR_END, |network, index| bring_up(network, index, far)))??;
        match prefix {
            // An address with a short prefix on the loopback makes the whole prefix local.
            IpNet::V4(prefix) => {
                let first =
                    Ipv4Net::new_assert(Ipv4Addr::from(u32::from(prefix.network()) + 1), prefix.prefix_len());
                node.run(|| on_link("lo", |network, index| network.add_address(index, first.into())))??;
            }
            IpNet::V6(prefix) => {
                // The kernel sends from assigned addresses only, unless it is told otherwise.
                node.set("net.ipv6.ip_nonlocal_bind", "1")?;
                node.run(|| veth::own(prefix))??;
            }
        }
        node.run(|| lead(FAR_END, outer::anywhere(family), near))??;
        self.gateway.run(|| lead(&name, prefix, far))?
    }
}

/// What a node calls its end of the cable to the gateway.
const FAR_END: &str = "eth0";

/// What the gateway calls its end.
fn near_end(node: &Node) -> String {
    format!("to-{}", node.name())
}

fn bring_up(network: &mut Network, index: u32, address: IpNet) -> Result<(), HostError> {
    network.set_link_up(index)?;
    network.add_address(index, address)
}

/// Sends what is for `destination` over `link` to `via`.
fn lead(link: &str, destination: IpNet, via: IpNet) -> io::Result<()> {
    on_link(link, |network, index| {
        let (via, oif) = (Some(via.addr()), Some(index));
        network.add_route(&RouteSpec { destination, via, oif, table: MAIN_TABLE, metric: None, source: None })
    })
}

/// Asks the kernel something about a link of the calling thread's node.
fn on_link<T>(name: &str, ask: impl FnOnce(&mut Network, u32) -> Result<T, HostError>) -> io::Result<T> {
    let mut network = Network::open().map_err(io::Error::other)?;
    let index = network.link_index(name).map_err(io::Error::other)?;
    ask(&mut network, index).map_err(io::Error::other)
}
