//! What this machine's network looks like at one moment.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage};

use crate::RouteSpec;

/// A full picture of links, addresses and default routes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// All links, ordered by index.
    pub links: Vec<Link>,
}

/// One network interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// Interface index; never reused while the interface lives, but reused for others later.
    pub index: u32,
    /// Interface name.
    pub name: String,
    /// Whether it can carry packets: [`Link::admin_up`], and with a carrier below.
    pub up: bool,
    /// Whether it was set up by the administrator.
    pub admin_up: bool,
    /// Whether there is a carrier: a cable, a radio network, a program behind a TUN device. Known also while down.
    pub carrier: bool,
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// Kind of a virtual interface as `ip -d link` names it (`veth`, `tun`, `bridge`, `wireguard`); empty for hardware.
    pub kind: String,
    /// Whether it is the loopback interface.
    pub loopback: bool,
    /// Addresses with their prefix that a socket can use for traffic beyond the link: not loopback, not link-local,
    /// not tentative, not failed, not deprecated.
    pub addresses: Vec<IpNet>,
    /// The best IPv4 default route of the main table over this link.
    pub default_v4: Option<DefaultRoute>,
    /// The best IPv6 default route of the main table over this link.
    pub default_v6: Option<DefaultRoute>,
}

/// A default route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultRoute {
    /// The next hop; none on point-to-point links.
    pub gateway: Option<IpAddr>,
    /// Smaller is preferred.
    pub metric: u32,
}

impl Link {
    /// Whether the main table has an IPv4 default route over this link.
    pub fn has_default_v4(&self) -> bool {
        self.default_v4.is_some()
    }

    /// Whether the main table has an IPv6 default route over this link.
    pub fn has_default_v6(&self) -> bool {
        self.default_v6.is_some()
    }
}

impl Snapshot {
    /// The link of that index.
    pub fn link(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    /// The link of that name.
    pub fn link_named(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// Puts the answers to three dumps together.
    pub(crate) fn assemble(
        links: &[RouteNetlinkMessage],
        addresses: &[RouteNetlinkMessage],
        routes: &[RouteSpec],
    ) -> Snapshot {
        let mut links: Vec<Link> = links
            .iter()
            .filter_map(|message| match message {
                RouteNetlinkMessage::NewLink(message) => Some(link_of(message)),
                _ => None,
            })
            .collect();
        links.sort_by_key(|link| link.index);
        let mut snapshot = Snapshot { links };
        for message in addresses {
            let RouteNetlinkMessage::NewAddress(message) = message else { continue };
            let link = snapshot.links.iter_mut().find(|link| link.index == message.header.index);
            if let (Some(link), Some(address)) = (link, usable_address(message)) {
                link.addresses.push(address);
            }
        }
        for route in routes.iter().filter(|route| route.destination.prefix_len() == 0) {
            if let Some(link) = snapshot.links.iter_mut().find(|link| Some(link.index) == route.oif) {
                take_default(link, route);
            }
        }
        snapshot
    }
}

/// Whether the flags of a link say that it can carry packets.
///
/// LOWER_UP is the carrier; RUNNING is missing also while a link with a carrier cannot be used yet (802.1X, Wi-Fi
/// that is not associated: operational state DORMANT, RFC 2863).
pub fn is_up(flags: LinkFlags) -> bool {
    flags.contains(LinkFlags::Up | LinkFlags::LowerUp | LinkFlags::Running)
}

/// The address of a message, whether usable or not.
pub fn address_of(message: &AddressMessage) -> Option<IpAddr> {
    // On point-to-point links "address" is the peer's; "local" is always ours where present.
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    local.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}

/// The address of a message, if a socket can use it beyond the link.
pub fn usable_address(message: &AddressMessage) -> Option<IpNet> {
    let address = address_of(message)?;
    let flags = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Flags(flags) => Some(*flags),
        _ => None,
    });
    let flags = flags.unwrap_or(AddressFlags::from_bits_retain(u32::from(message.header.flags.bits())));
    let unusable = AddressFlags::Tentative | AddressFlags::Dadfailed | AddressFlags::Deprecated;
    // An optimistic address is tentative, yet may be used (RFC 4429).
    let blocked = flags.intersects(unusable) && !flags.contains(AddressFlags::Optimistic);
    let local_only = match address {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local(),
    };
    (!blocked && !local_only).then(|| IpNet::new(address, message.header.prefix_len).ok()).flatten()
}

fn link_of(message: &LinkMessage) -> Link {
    let flags = message.header.flags;
    let mut link = Link {
        index: message.header.index,
        up: is_up(flags),
        admin_up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        loopback: flags.contains(LinkFlags::Loopback),
        ..Link::default()
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Carrier(carrier) => link.carrier = *carrier != 0,
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    if let LinkInfo::Kind(kind) = info {
                        link.kind = kind.to_string();
                    }
                }
            }
            _ => {}
        }
    }
    link
}

fn take_default(link: &mut Link, route: &RouteSpec) {
    let slot = if route.destination.addr().is_ipv4() { &mut link.default_v4 } else { &mut link.default_v6 };
    let candidate = DefaultRoute { gateway: route.via, metric: route.effective_metric() };
    if slot.is_none_or(|best| candidate.metric < best.metric) {
        *slot = Some(candidate);
    }
}
