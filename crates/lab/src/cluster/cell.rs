//! The network of a cell: nodes, cables and lines.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::plan::{self, COUNT};
use crate::link::{RadioLink, Router};
use crate::namespace::Node;
use crate::plan::{GATEWAY_INNER, GATEWAY_LAN, SERVER, UPLINKS, UplinkPlan};
use crate::shaper::Conditions;
use crate::wiring::{add_default_route, cable, route, with_link};
use crate::world::{end, radio_link};

/// The network of the sessions' inner addresses, as the gateways have it.
const INNER_LEN: u8 = 24;

/// What the router does with addresses of sessions, as recommended.
const NAT_TIER: &str = include_str!("../../../../packaging/nftables/nat-tier.nft");

/// The network, running; it ends with the process.
#[derive(Debug)]
pub struct Cell {
    /// Where the agent runs.
    pub laptop: Node,
    /// Routers of the laptop's and the gateways' providers.
    pub internet: Node,
    /// Where the gateways run.
    pub gateways: [Node; COUNT],
    /// Where the store's members run.
    pub members: [Node; COUNT],
    /// Between gateways and store.
    pub core: Node,
    /// Between gateways and server.
    pub router: Node,
    /// What the laptop talks to.
    pub server: Node,
    /// The laptop's uplinks.
    pub uplinks: [RadioLink; 2],
    /// The gateways' lines to the internet, up is towards the gateway.
    pub outer: [RadioLink; COUNT],
    /// The gateways' lines to the store, up is towards the gateway.
    pub store: [RadioLink; COUNT],
    /// The lines of the store's members, up is towards the member.
    pub member: [RadioLink; COUNT],
}

impl Cell {
    /// Builds everything; `calm` is what the laptop's uplinks are like.
    ///
    /// # Errors
    /// A sentence saying what could not be built.
    pub fn build(calm: [Conditions; 2], seed: u64) -> io::Result<Cell> {
        let laptop = lone("laptop")?;
        let [internet, core, router] = [lone("internet")?, lone("core")?, lone("router")?];
        let server = lone("server")?;
        let gateways = each(|index| lone(plan::GATEWAYS[index]))?;
        let members = each(|index| lone(plan::MEMBERS[index]))?;
        laptop.set("net.ipv4.conf.all.rp_filter", "2")?;
        for node in [&internet, &core, &router].into_iter().chain(&gateways) {
            node.set("net.ipv4.ip_forward", "1")?;
        }
        // The router is the resource that checks who owns a session.
        router.set("net.ipv4.conf.all.rp_filter", "1")?;
        cable(&router, ("srv0", GATEWAY_LAN), &server, ("eth0", SERVER))?;
        server.run(|| add_default_route("eth0", GATEWAY_LAN, 100))??;
        translate(&router)?;
        // Lines must not share their luck.
        let mut seeds = (0..).map(|number| seed.wrapping_mul(16) + number);
        let mut seed = || seeds.next().unwrap_or(0);
        let uplinks = [
            radio_link(&laptop, &internet, &UPLINKS[0], calm[0], seed())?,
            radio_link(&laptop, &internet, &UPLINKS[1], calm[1], seed())?,
        ];
        let outer = each(|index| line(&internet, &gateways[index], plan::OUTER[index], seed()))?;
        let store = each(|index| line(&core, &gateways[index], plan::STORE[index], seed()))?;
        let member = each(|index| line(&core, &members[index], plan::MEMBER[index], seed()))?;
        for (index, gateway) in gateways.iter().enumerate() {
            gateway.run(|| add_default_route("eth0", plan::OUTER[index].laptop, 100))??;
            lead(gateway, plan::STORE_NET, plan::STORE_INTERFACE, plan::STORE[index].laptop)?;
            connect_router(&router, gateway, index)?;
        }
        for (index, node) in members.iter().enumerate() {
            node.run(|| add_default_route("eth0", plan::MEMBER[index].laptop, 100))??;
        }
        Ok(Cell { laptop, internet, gateways, members, core, router, server, uplinks, outer, store, member })
    }

    /// Lets the router send all sessions to one gateway: one that shares its store with nobody announces nothing.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn lead_sessions_to(&self, gateway: usize) -> io::Result<()> {
        let [_, via] = plan::lan_v4(gateway);
        lead(
            &self.router,
            (Ipv4Net::new_assert(GATEWAY_INNER, INNER_LEN).network(), INNER_LEN),
            plan::LAN[gateway],
            via,
        )
    }
}

/// Lets the router be the tier that translates addresses behind the gateways, as the project recommends it.
fn translate(router: &Node) -> io::Result<()> {
    let mut command = Command::new("nft");
    let path = std::env::var("PATH").unwrap_or_default();
    command.arg("-f").arg("-").env("PATH", format!("{path}:/usr/sbin:/sbin")).stdin(Stdio::piped());
    let mut nft = router.spawn(&mut command).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot run nft (package `nftables`): {error}"))
    })?;
    if let Some(mut stdin) = nft.stdin.take() {
        stdin.write_all(NAT_TIER.as_bytes())?;
    }
    match nft.wait()? {
        status if status.success() => Ok(()),
        status => Err(io::Error::other(format!("nft refuses packaging/nftables/nat-tier.nft ({status})"))),
    }
}

/// One of each, by index.
pub(super) fn each<T>(mut make: impl FnMut(usize) -> io::Result<T>) -> io::Result<[T; COUNT]> {
    Ok([make(0)?, make(1)?, make(2)?])
}

fn lone(name: &'static str) -> io::Result<Node> {
    let node = Node::create(name)?;
    node.run(|| with_link("lo", |network, index| network.set_link_up(index)))??;
    Ok(node)
}

/// A line of ours, on which anything can happen; calm until then.
fn line(near: &Node, far: &Node, plan: UplinkPlan, seed: u64) -> io::Result<RadioLink> {
    let near = end(near, plan.interface, plan.laptop)?;
    let far = end(far, plan.isp_interface, plan.isp)?;
    RadioLink::start(plan, near, far, Router::None, Conditions::default(), seed)
}

/// A cable, because the router has to see packets as the gateway's kernel sends them; both IP versions.
fn connect_router(router: &Node, gateway: &Node, index: usize) -> io::Result<()> {
    let [v4_near, v4_far] = plan::lan_v4(index);
    cable(router, (plan::LAN[index], v4_near), gateway, (plan::LAN_INTERFACE, v4_far))?;
    let ends = [(router, plan::LAN[index]), (gateway, plan::LAN_INTERFACE)];
    for ((node, interface), address) in ends.into_iter().zip(plan::lan_v6(index)) {
        // Without IPv6 in the kernel the cell is one of IPv4.
        if node.set(&format!("net.ipv6.conf.{interface}.disable_ipv6"), "0").is_ok() {
            let address = IpNet::V6(Ipv6Net::new_assert(address, 64));
            node.run(|| with_link(interface, |network, index| network.add_address(index, address)))??;
        }
    }
    lead(gateway, (plan::SERVER_NET, 24), plan::LAN_INTERFACE, v4_near)
}

fn lead(node: &Node, (net, len): (Ipv4Addr, u8), interface: &str, via: Ipv4Addr) -> io::Result<()> {
    let net = Ipv4Net::new_assert(net, len);
    node.run(|| with_link(interface, |network, index| network.add_route(&route(net, via, index, None))))?
}
