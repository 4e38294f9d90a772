//! Routes and policy-routing rules, and how they look on the wire.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::netlink::Connection;
use crate::{Family, HostError};

/// The table that holds a machine's ordinary routes (RT_TABLE_MAIN).
pub const MAIN_TABLE: u32 = 254;
/// Metric the kernel gives an IPv6 route that names none (IP6_RT_PRIO_USER).
const IPV6_DEFAULT_METRIC: u32 = 1024;

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

impl RouteSpec {
    /// A route straight into an interface.
    pub fn into_link(destination: IpNet, oif: u32, table: u32) -> RouteSpec {
        RouteSpec { destination, via: None, oif: Some(oif), table, metric: None, source: None }
    }

    /// Smaller is preferred; what the kernel takes when none is named.
    pub fn effective_metric(&self) -> u32 {
        let default = if self.destination.addr().is_ipv4() { 0 } else { IPV6_DEFAULT_METRIC };
        self.metric.unwrap_or(default)
    }

    pub(crate) fn message(&self) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.address_family = Family::of(self.destination.addr()).into();
        message.header.destination_prefix_length = self.destination.prefix_len();
        message.header.protocol = RouteProtocol::Static;
        // As iproute2: an IPv4 destination without a next hop is on the link.
        let on_link = self.via.is_none() && self.destination.addr().is_ipv4();
        message.header.scope = if on_link { RouteScope::Link } else { RouteScope::Universe };
        message.header.kind = RouteType::Unicast;
        let destination = (self.destination.prefix_len() > 0)
            .then(|| RouteAttribute::Destination(self.destination.network().into()));
        message.attributes = [
            Some(RouteAttribute::Table(self.table)),
            destination,
            self.via.map(|via| RouteAttribute::Gateway(via.into())),
            self.oif.map(RouteAttribute::Oif),
            self.metric.map(RouteAttribute::Priority),
            self.source.map(|source| RouteAttribute::PrefSource(source.into())),
        ]
        .into_iter()
        .flatten()
        .collect();
        message
    }

    /// Matches the route whoever installed it and with whatever scope.
    pub(crate) fn message_to_delete(&self) -> RouteMessage {
        let mut message = self.message();
        message.header.protocol = RouteProtocol::Unspec;
        message.header.scope = RouteScope::NoWhere;
        message
    }
}

impl fmt::Display for RouteSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.destination)?;
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
        }
        if let Some(oif) = self.oif {
            write!(f, " over interface {oif}")?;
        }
        write!(f, " in table {}", self.table)
    }
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

impl RuleSpec {
    pub(crate) fn message(&self) -> RuleMessage {
        let mut message = RuleMessage::default();
        message.header.family = self.family.into();
        message.header.action = RuleAction::ToTable;
        if self.invert {
            message.header.flags = RuleFlags::Invert;
        }
        message.attributes = [
            Some(RuleAttribute::Table(self.table)),
            Some(RuleAttribute::Priority(self.priority)),
            self.fwmark.map(RuleAttribute::FwMark),
            self.suppress_prefixlength.map(RuleAttribute::SuppressPrefixLen),
        ]
        .into_iter()
        .flatten()
        .collect();
        message
    }

    fn from_message(message: &RuleMessage) -> Option<RuleSpec> {
        let family = match message.header.family {
            AddressFamily::Inet => Family::V4,
            AddressFamily::Inet6 => Family::V6,
            _ => return None,
        };
        let mut rule = RuleSpec {
            family,
            priority: 0,
            table: u32::from(message.header.table),
            fwmark: None,
            invert: message.header.flags.contains(RuleFlags::Invert),
            suppress_prefixlength: None,
        };
        for attribute in &message.attributes {
            match attribute {
                RuleAttribute::Priority(priority) => rule.priority = *priority,
                RuleAttribute::Table(table) => rule.table = *table,
                RuleAttribute::FwMark(mark) => rule.fwmark = Some(*mark),
                // The kernel says "none" as -1.
                RuleAttribute::SuppressPrefixLen(len) if *len != u32::MAX => {
                    rule.suppress_prefixlength = Some(*len);
                }
                _ => {}
            }
        }
        (message.header.action == RuleAction::ToTable).then_some(rule)
    }
}

impl fmt::Display for RuleSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.priority)?;
        if let Some(mark) = self.fwmark {
            write!(f, "{}fwmark {mark:#x} ", if self.invert { "not " } else { "" })?;
        }
        write!(f, "lookup {} (IP{:?})", self.table, self.family)
    }
}

/// Lists the unicast routes of one table or of all. A route with several next hops is given once for each.
pub fn dump_routes(
    connection: &mut Connection,
    family: Family,
    table: Option<u32>,
) -> Result<Vec<RouteSpec>, HostError> {
    let mut request = RouteMessage::default();
    request.header.address_family = family.into();
    request.attributes.extend(table.map(RouteAttribute::Table));
    let answer = match connection.dump(&RouteNetlinkMessage::GetRoute(request), "list the routes") {
        // A table that was never used does not exist.
        Err(HostError::NotFound { .. }) => return Ok(Vec::new()),
        answer => answer?,
    };
    let mut routes = Vec::new();
    for message in &answer {
        if let RouteNetlinkMessage::NewRoute(message) = message {
            push_routes(message, &mut routes);
        }
    }
    // Kernels without strict checking ignore the filter.
    routes.retain(|route| table.is_none_or(|table| route.table == table));
    Ok(routes)
}

/// Lists the rules of both IP versions.
pub fn dump_rules(connection: &mut Connection) -> Result<Vec<RuleSpec>, HostError> {
    let mut rules = Vec::new();
    for family in Family::BOTH {
        let mut request = RuleMessage::default();
        request.header.family = family.into();
        let answer = connection.dump(&RouteNetlinkMessage::GetRule(request), "list the routing rules")?;
        rules.extend(answer.iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewRule(message) => RuleSpec::from_message(message),
            _ => None,
        }));
    }
    Ok(rules)
}

/// The routes a message stands for; none for broadcast, local, cached and other special ones.
pub fn push_routes(message: &RouteMessage, routes: &mut Vec<RouteSpec>) {
    let unspecified: IpAddr = match message.header.address_family {
        AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
        AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return,
    };
    let special =
        message.header.kind != RouteType::Unicast || message.header.flags.contains(RouteFlags::Cloned);
    let Ok(destination) = IpNet::new(unspecified, message.header.destination_prefix_length) else { return };
    if special {
        return;
    }
    let table = u32::from(message.header.table);
    let mut route = RouteSpec { destination, via: None, oif: None, table, metric: None, source: None };
    let mut next_hops = &[][..];
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => {
                if let Some(network) =
                    ip(address).and_then(|ip| IpNet::new(ip, destination.prefix_len()).ok())
                {
                    route.destination = network;
                }
            }
            RouteAttribute::Table(table) => route.table = *table,
            RouteAttribute::Gateway(address) => route.via = ip(address),
            RouteAttribute::Oif(index) => route.oif = Some(*index),
            RouteAttribute::Priority(metric) => route.metric = Some(*metric),
            RouteAttribute::PrefSource(address) => route.source = ip(address),
            RouteAttribute::MultiPath(hops) => next_hops = hops,
            _ => {}
        }
    }
    if next_hops.is_empty() {
        routes.push(route);
    }
    routes.extend(next_hops.iter().map(|hop| RouteSpec {
        oif: Some(hop.interface_index),
        via: hop.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Gateway(address) => ip(address),
            _ => None,
        }),
        ..route
    }));
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}
