//! Cables, addresses and routes of nodes: the few things the lab asks of the kernel's network.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jumpvpn_host::{HostError, Network, RouteSpec};

use crate::namespace::Node;
use crate::plan::{Family, PREFIX_LEN, PREFIX_LEN_V6};
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

/// Gives an interface its address and sets it up. IPv6 stays off until it is asked for ([`add_v6`]): it would only chatter.
pub fn bring_up(node: &Node, interface: &str, address: Ipv4Addr) -> io::Result<()> {
    // A kernel without IPv6 has no such setting, and needs none.
    node.set(&format!("net.ipv6.conf.{interface}.disable_ipv6"), "1").ok();
    with_link(interface, |network, index| {
        network.add_address(index, IpNet::V4(Ipv4Net::new_assert(address, PREFIX_LEN)))?;
        network.set_link_up(index)
    })
}

/// Gives an interface that is up an IPv6 address; one that is there already is fine. Routers announce nothing in the lab.
pub fn add_v6(node: &Node, interface: &str, address: Ipv6Addr) -> io::Result<()> {
    for (key, value) in [("accept_ra", "0"), ("disable_ipv6", "0")] {
        node.set(&format!("net.ipv6.conf.{interface}.{key}"), value)?;
    }
    let address = IpNet::V6(Ipv6Net::new_assert(address, PREFIX_LEN_V6));
    node.run(|| with_link(interface, |network, index| unless_there(network.add_address(index, address))))?
}

/// Adds a default route of the calling thread's node; one that is there already is fine.
pub fn add_default_route(interface: &str, via: impl Into<IpAddr>, metric: u32) -> io::Result<()> {
    let via = via.into();
    let anywhere = match Family::of(via) {
        Family::V4 => IpNet::from(Ipv4Net::default()),
        Family::V6 => IpNet::from(Ipv6Net::default()),
    };
    with_link(interface, |network, index| {
        unless_there(network.add_route(&route(anywhere, via, index, Some(metric))))
    })
}

/// What is there already need not be made.
fn unless_there(made: Result<(), HostError>) -> Result<(), HostError> {
    match made {
        Err(HostError::Exists { .. }) => Ok(()),
        other => other,
    }
}

pub fn route(
    destination: impl Into<IpNet>,
    via: impl Into<IpAddr>,
    oif: u32,
    metric: Option<u32>,
) -> RouteSpec {
    let (destination, via) = (destination.into(), Some(via.into()));
    RouteSpec { destination, via, oif: Some(oif), table: MAIN_TABLE, metric, source: None }
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
