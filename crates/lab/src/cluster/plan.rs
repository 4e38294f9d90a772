//! Addresses of a cell: who is where, beside the laptop and its uplinks ([`crate::plan`]).
//!
//! Outer addresses are for tests (RFC 2544), all others private.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::plan::UplinkPlan;

/// Gateways, and members of the store: the least of which one may fail.
pub const COUNT: usize = 3;

/// Names of the gateways' nodes.
pub const GATEWAYS: [&str; COUNT] = ["gateway1", "gateway2", "gateway3"];
/// Names of the nodes of the store's members.
pub const MEMBERS: [&str; COUNT] = ["etcd1", "etcd2", "etcd3"];

/// The gateways' lines to the internet, by index; [`Direction::Up`](crate::story::Direction) is towards the gateway.
pub const OUTER: [UplinkPlan; COUNT] = [
    line("gw1", [198, 18, 1, 1], "eth0", [198, 18, 1, 10], 0x11),
    line("gw2", [198, 18, 2, 1], "eth0", [198, 18, 2, 10], 0x12),
    line("gw3", [198, 18, 3, 1], "eth0", [198, 18, 3, 10], 0x13),
];

/// The gateways' lines to the network of the store, by index; up is towards the gateway.
pub const STORE: [UplinkPlan; COUNT] = [
    line("to-gw1", [10, 88, 1, 1], STORE_INTERFACE, [10, 88, 1, 2], 0x21),
    line("to-gw2", [10, 88, 2, 1], STORE_INTERFACE, [10, 88, 2, 2], 0x22),
    line("to-gw3", [10, 88, 3, 1], STORE_INTERFACE, [10, 88, 3, 2], 0x23),
];

/// The lines of the store's members, by index; up is towards the member.
pub const MEMBER: [UplinkPlan; COUNT] = [
    line("to-etcd1", [10, 88, 11, 1], "eth0", [10, 88, 11, 2], 0x31),
    line("to-etcd2", [10, 88, 12, 1], "eth0", [10, 88, 12, 2], 0x32),
    line("to-etcd3", [10, 88, 13, 1], "eth0", [10, 88, 13, 2], 0x33),
];

/// A gateway's interface towards the store.
pub const STORE_INTERFACE: &str = "store0";
/// Everything of the store's network.
pub const STORE_NET: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 88, 0, 0), 16);
/// A gateway's interface towards the router.
pub const LAN_INTERFACE: &str = "lan0";
/// The router's interfaces towards the gateways, by index: one each, so that it can tell where a packet comes from.
pub const LAN: [&str; COUNT] = ["lan1", "lan2", "lan3"];
/// The network behind the router, in a /24.
pub const SERVER_NET: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 0);
/// Ports of the store: for clients, and for its members among each other.
pub const CLIENT_PORT: u16 = 2379;
/// See above.
pub const PEER_PORT: u16 = 2380;

const fn line(
    interface: &'static str,
    near: [u8; 4],
    far_interface: &'static str,
    far: [u8; 4],
    last_of_mac: u8,
) -> UplinkPlan {
    let (near, far) = (address(near), address(far));
    UplinkPlan {
        interface,
        laptop: near,
        router: far,
        metric: 0,
        public: near,
        isp_interface: far_interface,
        isp: far,
        router_mac: [0x02, 0, 0, 0, 3, last_of_mac],
    }
}

const fn address([a, b, c, d]: [u8; 4]) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

/// Router and gateway on the line between them, each in a /24.
#[must_use]
pub fn lan_v4(gateway: usize) -> [Ipv4Addr; 2] {
    let line = number(gateway);
    [Ipv4Addr::new(10, 98, line, 1), Ipv4Addr::new(10, 98, line, 2)]
}

/// The same for IPv6, each in a /64.
#[must_use]
pub fn lan_v6(gateway: usize) -> [Ipv6Addr; 2] {
    let line = u16::from(number(gateway));
    [1, 2].map(|end| Ipv6Addr::new(0xfd98, line, 0, 0, 0, 0, 0, end))
}

/// Gateways and members are called 1 to 3.
fn number(index: usize) -> u8 {
    index as u8 + 1
}
