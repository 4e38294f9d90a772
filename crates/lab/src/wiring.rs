//! Cables, addresses and routes of nodes: the few things the lab asks of the kernel's network.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use jumpvpn_host::{HostError, Network, RouteSpec};

use crate::namespace::Node;
use crate::plan::PREFIX_LEN;
use crate::veth;

/// The main routing table (RT_TABLE_MAIN).
const MAIN_TABLE: u32 = 254;

/// Connects two nodes with a plain cable and gives both ends their addresses.
///
/// # Errors
/// What the kernel said.
pub fn cable(
    one: &Node,
    (name, address): (&str, Ipv4Addr),
    other: &Node,
    far: (&str, Ipv4Addr),
) -> io::Result<()> {
    one.run(|| {
        veth::connect(name, far.0, other.namespace())?;
        bring_up(one, name, address)
    })??;
    other.run(|| bring_up(other, far.0, far.1))?
}

/// Gives an interface its address and sets it up. IPv6 stays off on outer links: it would only chatter.
pub fn bring_up(node: &Node, interface: &str, address: Ipv4Addr) -> io::Result<()> {
    // A kernel without IPv6 has no such setting, and needs none.
    node.set(&format!("net.ipv6.conf.{interface}.disable_ipv6"), "1").ok();
    with_link(interface, |network, index| {
        network.add_address(index, IpNet::V4(Ipv4Net::new_assert(address, PREFIX_LEN)))?;
        network.set_link_up(index)
    })
}

/// Adds a default route of the calling thread's node; one that is there already is fine.
pub fn add_default_route(interface: &str, via: Ipv4Addr, metric: u32) -> io::Result<()> {
    let anywhere = Ipv4Net::default();
    with_link(interface, |network, index| {
        match network.add_route(&route(anywhere, Some(via), index, Some(metric))) {
            Err(HostError::Exists { .. }) => Ok(()),
            other => other,
        }
    })
}

pub fn route(destination: Ipv4Net, via: Option<Ipv4Addr>, oif: u32, metric: Option<u32>) -> RouteSpec {
    RouteSpec {
        destination: IpNet::V4(destination),
        via: via.map(IpAddr::V4),
        oif: Some(oif),
        table: MAIN_TABLE,
        metric,
        source: None,
    }
}

/// Asks the kernel something about an interface of the calling thread's namespace.
pub fn with_link<T>(
    interface: &str,
    ask: impl FnOnce(&mut Network, u32) -> Result<T, HostError>,
) -> io::Result<T> {
    let mut network = Network::open().map_err(io::Error::other)?;
    let index = network.link_index(interface).map_err(io::Error::other)?;
    ask(&mut network, index).map_err(io::Error::other)
}
