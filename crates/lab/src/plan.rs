//! Addresses of the lab: who is where.
//!
//! ```text
//!  laptop ──wlan0── Wi-Fi router (NAT) ──┐
//!   │                                    ├── internet ── gateway ── server
//!   └─────wwan0── LTE router (NAT) ──────┘
//! ```
//! Outer addresses are documentation prefixes (RFC 5737) and private ones (RFC 1918).

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

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

/// Prefix length of every network of the lab.
pub const PREFIX_LEN: u8 = 24;

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
