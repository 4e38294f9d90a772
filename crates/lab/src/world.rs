//! The whole network of the lab: its nodes, its cables and its radio links, and what can be done to them.

use std::io;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use jumpvpn_host::Network;
use jumpvpn_tun::Tap;

use crate::link::{RadioLink, Router};
use crate::namespace::Node;
use crate::plan::{self, Ends, Family, UPLINKS, UPLINKS_V6, UplinkPlan};
use crate::shaper::Conditions;
use crate::story::{Action, Direction, Uplink};
use crate::tunnel::Site;
use crate::wiring::{add_default_route, add_v6, bring_up, cable, route, with_link};

/// The network, running; it ends with the process.
#[derive(Debug)]
pub struct World {
    /// Where the agent runs.
    pub laptop: Node,
    /// Routers of two providers.
    pub internet: Node,
    /// Where the gateway runs.
    pub gateway: Node,
    /// What the laptop talks to.
    pub server: Node,
    calm: [Conditions; 2],
    links: [RadioLink; 2],
    trunk: Option<RadioLink>,
    /// Versions of IP that lead from the laptop to the gateway.
    families: &'static [Family],
}

/// What the gateway's access line is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// The kernel's: as fast as the machine.
    Cable,
    /// A link of ours, on which somebody can sit.
    Watched,
}

impl World {
    /// Builds everything, with IPv6 beside IPv4 when that is the `family` that is wanted; `calm` is what the radio links are
    /// like, by [`Uplink::index`].
    ///
    /// # Errors
    /// A sentence saying what could not be built.
    pub fn build(calm: [Conditions; 2], family: Family, seed: u64) -> io::Result<World> {
        let mut world = World::build_with(Line::Cable, calm, seed)?;
        if family == Family::V6 {
            world.add_v6()?;
        }
        Ok(world)
    }

    /// As [`World::build`], with a [`World::trunk`] in the place of the gateway's cable, and, where the kernel has it, with IPv6
    /// beside IPv4.
    ///
    /// # Errors
    /// A sentence saying what could not be built.
    pub fn build_watched(calm: [Conditions; 2], seed: u64) -> io::Result<World> {
        let mut world = World::build_with(Line::Watched, calm, seed)?;
        if plan::is_here(Family::V6) {
            world.add_v6()?;
        }
        Ok(world)
    }

    fn build_with(line: Line, calm: [Conditions; 2], seed: u64) -> io::Result<World> {
        let laptop = Node::create("laptop")?;
        let internet = Node::create("internet")?;
        let gateway = Node::create("gateway")?;
        let server = Node::create("server")?;
        for node in [&laptop, &internet, &gateway, &server] {
            node.run(|| with_link("lo", |network, index| network.set_link_up(index)))??;
        }
        // A laptop with two default routes must accept answers on either: what distributions set.
        laptop.set("net.ipv4.conf.all.rp_filter", "2")?;
        internet.set("net.ipv4.ip_forward", "1")?;
        gateway.set("net.ipv4.ip_forward", "1")?;
        let trunk = match line {
            Line::Cable => {
                let far = (plan::TRUNK.isp_interface, plan::GATEWAY);
                cable(&internet, (plan::TRUNK.interface, plan::GATEWAY_ISP), &gateway, far)?;
                None
            }
            Line::Watched => Some(line_of_taps(&internet, &gateway, seed)?),
        };
        cable(&gateway, ("lan0", plan::GATEWAY_LAN), &server, ("eth0", plan::SERVER))?;
        gateway.run(|| add_default_route("eth0", plan::GATEWAY_ISP, 100))??;
        server.run(|| add_default_route("eth0", plan::GATEWAY_LAN, 100))??;
        let radio = |uplink: Uplink| {
            let index = uplink.index();
            // The links must not share their luck.
            let seed = seed.wrapping_mul(2) + index as u64;
            radio_link(&laptop, &internet, &UPLINKS[index], calm[index], seed)
        };
        let links = [radio(Uplink::Wifi)?, radio(Uplink::Lte)?];
        Ok(World { laptop, internet, gateway, server, calm, links, trunk, families: &[Family::V4] })
    }

    /// Gives the outer network IPv6 as well, and routes between the laptop and the gateway.
    fn add_v6(&mut self) -> io::Result<()> {
        self.families = &Family::BOTH;
        self.internet.set("net.ipv6.conf.all.forwarding", "1")?;
        for (uplink, ends) in UPLINKS.iter().zip(&UPLINKS_V6) {
            add_v6(&self.internet, uplink.isp_interface, ends.far)?;
            self.connect_v6(uplink, ends)?;
        }
        let Ends { near, far } = plan::TRUNK_V6;
        add_v6(&self.internet, plan::TRUNK.interface, near)?;
        add_v6(&self.gateway, plan::TRUNK.isp_interface, far)?;
        self.gateway.run(|| add_default_route(plan::TRUNK.isp_interface, near, 100))?
    }

    /// The laptop's end of an uplink.
    fn connect_v6(&self, uplink: &UplinkPlan, ends: &Ends) -> io::Result<()> {
        add_v6(&self.laptop, uplink.interface, ends.near)?;
        self.laptop.run(|| add_default_route(uplink.interface, ends.far, uplink.metric))?
    }

    /// Versions of IP that lead from the laptop to the gateway.
    #[must_use]
    pub fn families(&self) -> &'static [Family] {
        self.families
    }

    /// The gateway's access line, towards it being [`Direction::Up`]; none in a world with a plain cable.
    #[must_use]
    pub fn trunk(&self) -> Option<&RadioLink> {
        self.trunk.as_ref()
    }

    /// Connects one more machine to the internet: `address` in a /24 of its own, of which the internet's side takes
    /// `router`; in a world with IPv6 also `ends`, of which the near one is the machine's. The interface is called `eth0`
    /// there, and `interface` here.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn join(
        &self,
        name: &'static str,
        interface: &str,
        (address, router): (Ipv4Addr, Ipv4Addr),
        ends: Ends,
    ) -> io::Result<Node> {
        let node = Node::create(name)?;
        node.run(|| with_link("lo", |network, index| network.set_link_up(index)))??;
        cable(&self.internet, (interface, router), &node, ("eth0", address))?;
        node.run(|| add_default_route("eth0", router, 100))??;
        if self.families.contains(&Family::V6) {
            add_v6(&self.internet, interface, ends.far)?;
            add_v6(&node, "eth0", ends.near)?;
            node.run(|| add_default_route("eth0", ends.far, 100))??;
        }
        Ok(node)
    }

    /// The node of that name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        [&self.laptop, &self.internet, &self.gateway, &self.server]
            .into_iter()
            .find(|node| node.name() == name)
    }

    /// Where the daemons run in this network, and over which of [`World::families`] they speak.
    #[must_use]
    pub fn site(&self, family: Family) -> Site<'_> {
        const UPLINKS: [&str; 2] = [Uplink::Wifi.interface(), Uplink::Lte.interface()];
        Site { laptop: &self.laptop, gateway: &self.gateway, uplinks: &UPLINKS, family }
    }

    /// The radio link of an uplink.
    #[must_use]
    pub fn link(&self, uplink: Uplink) -> &RadioLink {
        &self.links[uplink.index()]
    }

    /// Lets packets between laptop and server pass outside any tunnel.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn open_direct_way(&self) -> io::Result<()> {
        let lan = Ipv4Net::new_assert(plan::SERVER, plan::PREFIX_LEN).trunc();
        self.internet.run(|| {
            with_link(plan::TRUNK.interface, |network, index| {
                network.add_route(&route(lan, plan::GATEWAY, index, None))
            })
        })?
    }

    /// Does what a story or a key says to the network.
    ///
    /// # Errors
    /// The kernel refused, or the action is the agent's business.
    pub fn apply(&self, action: &Action) -> io::Result<()> {
        let change = |uplink: &Uplink, change: &dyn Fn(&mut Conditions)| {
            for direction in Direction::ALL {
                self.change(*uplink, direction, change);
            }
            Ok(())
        };
        match action {
            Action::Link(uplink, up) => self.set_link(*uplink, *up),
            Action::Carrier(uplink, on) => self.link(*uplink).set_carrier(*on),
            Action::BlackHole(uplink, directions) => {
                for direction in Direction::ALL.into_iter().filter(|one| directions.includes(*one)) {
                    self.change(*uplink, direction, &|conditions| conditions.black_hole = true);
                }
                Ok(())
            }
            Action::UdpBlocked(uplink, blocked) => {
                change(uplink, &|conditions| conditions.udp_blocked = *blocked)
            }
            Action::Delay(uplink, delay) => change(uplink, &|conditions| conditions.delay = *delay),
            Action::Jitter(uplink, jitter) => change(uplink, &|conditions| conditions.jitter = *jitter),
            Action::Loss(uplink, ppm) => change(uplink, &|conditions| conditions.loss_ppm = *ppm),
            Action::Reorder(uplink, ppm) => change(uplink, &|conditions| conditions.reorder_ppm = *ppm),
            Action::Rate(uplink, bps) => change(uplink, &|c| c.rate_bps = Some(*bps).filter(|bps| *bps > 0)),
            Action::Mtu(uplink, len) => {
                change(uplink, &|c| c.max_packet_len = Some(*len).filter(|len| *len > 0))
            }
            Action::Clear(uplink) => change(uplink, &|conditions| *conditions = self.calm[uplink.index()]),
            Action::Rebind(uplink) => {
                self.link(*uplink).rebind();
                Ok(())
            }
            Action::Jump(_) | Action::Pin(_) | Action::Unpin => {
                Err(io::Error::new(io::ErrorKind::Unsupported, format!("{action} is for the agent")))
            }
        }
    }

    /// Everything is again as it was built.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn calm_down(&self) -> io::Result<()> {
        for uplink in Uplink::ALL {
            self.apply(&Action::Clear(uplink))?;
            self.apply(&Action::Carrier(uplink, true))?;
            self.apply(&Action::Link(uplink, true))?;
        }
        Ok(())
    }

    fn change(&self, uplink: Uplink, direction: Direction, change: &dyn Fn(&mut Conditions)) {
        let link = self.link(uplink);
        let mut conditions = link.conditions(direction);
        change(&mut conditions);
        link.set_conditions(direction, conditions);
    }

    /// Down takes the kernel's routes along, and addresses of IPv6; up brings them back, as a DHCP client would.
    fn set_link(&self, uplink: Uplink, up: bool) -> io::Result<()> {
        let ends = &UPLINKS_V6[uplink.index()];
        let uplink = &UPLINKS[uplink.index()];
        self.laptop.run(|| {
            let set = |network: &mut Network, index| {
                if up { network.set_link_up(index) } else { network.set_link_down(index) }
            };
            with_link(uplink.interface, set)?;
            if up { add_default_route(uplink.interface, uplink.router, uplink.metric) } else { Ok(()) }
        })??;
        if up && self.families.contains(&Family::V6) { self.connect_v6(uplink, ends) } else { Ok(()) }
    }
}

pub(crate) fn radio_link(
    laptop: &Node,
    internet: &Node,
    plan: &UplinkPlan,
    calm: Conditions,
    seed: u64,
) -> io::Result<RadioLink> {
    let laptop_end = end(laptop, plan.interface, plan.laptop)?;
    let isp_end = end(internet, plan.isp_interface, plan.isp)?;
    laptop.run(|| add_default_route(plan.interface, plan.router, plan.metric))??;
    RadioLink::start(*plan, laptop_end, isp_end, Router::Nat, calm, seed)
}

fn line_of_taps(internet: &Node, gateway: &Node, seed: u64) -> io::Result<RadioLink> {
    let plan = plan::TRUNK;
    let near = end(internet, plan.interface, plan.laptop)?;
    let far = end(gateway, plan.isp_interface, plan.isp)?;
    RadioLink::start(plan, near, far, Router::None, Conditions::default(), seed)
}

/// An interface of a node whose other side is ours.
pub(crate) fn end(node: &Node, interface: &str, address: Ipv4Addr) -> io::Result<Tap> {
    node.run(|| {
        let tap = Tap::create(interface).map_err(io::Error::other)?;
        bring_up(node, interface, address)?;
        Ok::<Tap, io::Error>(tap)
    })?
}
