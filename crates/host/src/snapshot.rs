//! What this machine's network looks like at one moment.

use std::net::IpAddr;

use ipnet::IpNet;

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
    /// Whether it can carry packets: set up by the administrator, and with a carrier below.
    pub up: bool,
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// Kind of a virtual interface as `ip -d link` names it (`veth`, `tun`, `bridge`, `wireguard`); empty for hardware.
    pub kind: String,
    /// Whether it is the loopback interface.
    pub loopback: bool,
    /// Addresses with their prefix that a socket can use for traffic beyond the link: not link-local, not tentative,
    /// not failed, not deprecated.
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
}
