//! Addresses of the lab: who is where.
//!
//! ```text
//!  laptop ──wlan0── Wi-Fi router (NAT) ──┐
//!   │                                    ├── internet ── gateway ── server
//!   └─────wwan0── LTE router (NAT) ──────┘
//! ```
//! Outer addresses are documentation prefixes (RFC 5737, RFC 3849) and private ones (RFC 1918). A world may have IPv6 beside IPv4:
//! then the laptop has an address of the internet on each uplink, and nobody translates it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::Ipv4Net;
pub use jumpvpn_host::Family;

use crate::story::Uplink;

/// Addresses along one uplink.
#[derive(Debug, Clone, Copy)]
pub struct UplinkPlan {
    /// The laptop's interface.
    pub interface: &'static str,
    /// The laptop, in a /24.
    pub laptop: Ipv4Addr,
    /// The router's inner side: the laptop's next hop.
    pub router: Ipv4Addr,
    /// Smaller is preferred; what network managers give to Wi-Fi and to mobile networks.
    pub metric: u32,
    /// The router's public address, in a /24.
    pub public: Ipv4Addr,
    /// The internet's interface towards the router, and its address in that /24.
    pub isp_interface: &'static str,
    /// See above.
    pub isp: Ipv4Addr,
    /// Hardware address of the router, both sides: locally administered.
    pub router_mac: [u8; 6],
}

impl UplinkPlan {
    /// The network behind the router.
    #[must_use]
    pub fn lan(&self) -> Ipv4Net {
        Ipv4Net::new_assert(self.laptop, PREFIX_LEN).trunc()
    }
}

/// Prefix length of every IPv4 network of the lab.
pub const PREFIX_LEN: u8 = 24;

/// IPv6 addresses of both ends of a line, in a /64 of its own.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// Of the interface [`UplinkPlan::interface`] names.
    pub near: Ipv6Addr,
    /// Of the interface [`UplinkPlan::isp_interface`] names: what is near sends everything there.
    pub far: Ipv6Addr,
}

/// Prefix length of every IPv6 network of the lab.
pub const PREFIX_LEN_V6: u8 = 64;

/// The ends of both uplinks, by [`Uplink::index`].
pub const UPLINKS_V6: [Ends; 2] = [
    Ends { near: documented(0xa, 0x23), far: documented(0xa, 1) },
    Ends { near: documented(0xb, 0x42), far: documented(0xb, 1) },
];
/// The ends of the gateway's access line.
pub const TRUNK_V6: Ends = Ends { near: documented(2, 1), far: documented(2, 0x10) };

/// Address `host` of network `net` of those for documents (RFC 3849).
#[must_use]
pub const fn documented(net: u16, host: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, host)
}

/// Under which address the internet knows the laptop on each uplink, by [`Uplink::index`].
#[must_use]
pub fn public_of(family: Family) -> [IpAddr; 2] {
    match family {
        Family::V4 => UPLINKS.map(|uplink| uplink.public.into()),
        Family::V6 => UPLINKS_V6.map(|ends| ends.near.into()),
    }
}

/// Where the gateway listens.
#[must_use]
pub fn gateway_of(family: Family) -> SocketAddr {
    let address = match family {
        Family::V4 => GATEWAY.into(),
        Family::V6 => TRUNK_V6.far.into(),
    };
    SocketAddr::new(address, GATEWAY_PORT)
}

/// Whether the kernel has the family.
#[must_use]
pub fn is_here(family: Family) -> bool {
    family == Family::V4 || std::path::Path::new("/proc/sys/net/ipv6").exists()
}

/// The family in words.
#[must_use]
pub fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// The plan of both uplinks, by [`Uplink::index`].
pub const UPLINKS: [UplinkPlan; 2] = [
    UplinkPlan {
        interface: Uplink::Wifi.interface(),
        laptop: Ipv4Addr::new(192, 168, 1, 23),
        router: Ipv4Addr::new(192, 168, 1, 1),
        metric: 600,
        public: Ipv4Addr::new(198, 51, 100, 7),
        isp_interface: "isp-wifi",
        isp: Ipv4Addr::new(198, 51, 100, 1),
        router_mac: [0x02, 0, 0, 0, 1, 1],
    },
    UplinkPlan {
        interface: Uplink::Lte.interface(),
        laptop: Ipv4Addr::new(192, 168, 8, 42),
        router: Ipv4Addr::new(192, 168, 8, 1),
        metric: 700,
        public: Ipv4Addr::new(203, 0, 113, 9),
        isp_interface: "isp-lte",
        isp: Ipv4Addr::new(203, 0, 113, 1),
        router_mac: [0x02, 0, 0, 0, 8, 1],
    },
];

/// The gateway's address on the internet, in a /24.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
/// The internet's side of the gateway's link.
pub const GATEWAY_ISP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// UDP port the gateway listens on.
pub const GATEWAY_PORT: u16 = 4747;
/// The gateway's access line as a link of ours: what is the laptop's side of an uplink is the internet's side here.
pub const TRUNK: UplinkPlan = UplinkPlan {
    interface: "gw0",
    laptop: GATEWAY_ISP,
    router: GATEWAY,
    metric: 0,
    public: GATEWAY_ISP,
    isp_interface: "eth0",
    isp: GATEWAY,
    router_mac: [0x02, 0, 0, 0, 2, 1],
};
/// The gateway inside the tunnel, in a /24.
pub const GATEWAY_INNER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The laptop inside the tunnel.
pub const LAPTOP_INNER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// The gateway on the server's network, in a /24.
pub const GATEWAY_LAN: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// The server behind the gateway.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
