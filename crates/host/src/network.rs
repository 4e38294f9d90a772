//! Changing single things of this machine's network, each acknowledged by the kernel.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_sys::Socket;

use crate::HostError;

/// An IP version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A unicast route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteSpec {
    /// Where to.
    pub destination: IpNet,
    /// Next hop.
    pub via: Option<IpAddr>,
    /// Index of the outgoing interface.
    pub oif: Option<u32>,
    /// Routing table, 254 is main.
    pub table: u32,
    /// Smaller is preferred.
    pub metric: Option<u32>,
    /// Preferred source address.
    pub source: Option<IpAddr>,
}

/// A policy-routing rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleSpec {
    /// IP version.
    pub family: Family,
    /// Order among the rules, smaller first.
    pub priority: u32,
    /// Table to look up.
    pub table: u32,
    /// Applies to packets with this mark.
    pub fwmark: Option<u32>,
    /// Applies to packets that do *not* match.
    pub invert: bool,
    /// Ignore routes of the table with a prefix of this length or shorter.
    pub suppress_prefixlength: Option<u32>,
}

/// A connection to the kernel's network configuration (rtnetlink, RFC 3549).
pub struct Network {
    socket: Socket,
}

impl Network {
    /// Connects.
    pub fn open() -> Result<Network, HostError> {
        todo!()
    }

    /// Index of the interface `name`.
    pub fn link_index(&mut self, name: &str) -> Result<u32, HostError> {
        let _ = (name, &self.socket);
        todo!()
    }

    /// Sets the interface up.
    pub fn set_link_up(&mut self, index: u32) -> Result<(), HostError> {
        let _ = index;
        todo!()
    }

    /// Sets the interface down.
    pub fn set_link_down(&mut self, index: u32) -> Result<(), HostError> {
        let _ = index;
        todo!()
    }

    /// Sets the largest packet of the interface in bytes.
    pub fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<(), HostError> {
        let _ = (index, mtu);
        todo!()
    }

    /// Removes a virtual interface.
    pub fn delete_link(&mut self, index: u32) -> Result<(), HostError> {
        let _ = index;
        todo!()
    }

    /// Adds an address (usable at once: no duplicate address detection).
    pub fn add_address(&mut self, index: u32, address: IpNet) -> Result<(), HostError> {
        let _ = (index, address);
        todo!()
    }

    /// Removes all addresses of the interface but its IPv6 link-local one.
    pub fn flush_addresses(&mut self, index: u32) -> Result<(), HostError> {
        let _ = index;
        todo!()
    }

    /// Adds a route.
    pub fn add_route(&mut self, route: &RouteSpec) -> Result<(), HostError> {
        let _ = route;
        todo!()
    }

    /// Removes a route.
    pub fn delete_route(&mut self, route: &RouteSpec) -> Result<(), HostError> {
        let _ = route;
        todo!()
    }

    /// All unicast routes of all tables but `local`.
    pub fn routes(&mut self) -> Result<Vec<RouteSpec>, HostError> {
        todo!()
    }

    /// Adds a rule.
    pub fn add_rule(&mut self, rule: &RuleSpec) -> Result<(), HostError> {
        let _ = rule;
        todo!()
    }

    /// Removes a rule.
    pub fn delete_rule(&mut self, rule: &RuleSpec) -> Result<(), HostError> {
        let _ = rule;
        todo!()
    }

    /// All rules of both IP versions.
    pub fn rules(&mut self) -> Result<Vec<RuleSpec>, HostError> {
        todo!()
    }
}
