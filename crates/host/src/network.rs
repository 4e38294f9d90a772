//! Changing single things of this machine's network, each acknowledged by the kernel.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::netlink::Connection;
use crate::snapshot::{Link, Snapshot};
use crate::{HostError, RouteSpec, RuleSpec, routing};

/// An IP version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both versions.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// The version of an address.
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }
}

impl From<Family> for AddressFamily {
    fn from(family: Family) -> AddressFamily {
        match family {
            Family::V4 => AddressFamily::Inet,
            Family::V6 => AddressFamily::Inet6,
        }
    }
}

/// A connection to the kernel's network configuration, in the network namespace of the thread that opened it.
///
/// Every change returns after the kernel made it. The errors are those of [`HostError`]: `PermissionDenied` without
/// CAP_NET_ADMIN, `NotFound` and `Exists` as the names say, `Io` with the kernel's explanation otherwise.
pub struct Network {
    pub(crate) connection: Connection,
}

impl Network {
    /// Connects.
    pub fn open() -> Result<Network, HostError> {
        Ok(Network { connection: Connection::open()? })
    }

    /// Looks at all links, addresses and default routes.
    pub fn snapshot(&mut self) -> Result<Snapshot, HostError> {
        let links = self
            .connection
            .dump(&RouteNetlinkMessage::GetLink(LinkMessage::default()), "list the network interfaces")?;
        let addresses = self
            .connection
            .dump(&RouteNetlinkMessage::GetAddress(AddressMessage::default()), "list the addresses")?;
        let mut routes = Vec::new();
        for family in Family::BOTH {
            routes.extend(routing::dump_routes(&mut self.connection, family, Some(routing::MAIN_TABLE))?);
        }
        Ok(Snapshot::assemble(&links, &addresses, &routes))
    }

    /// The interface `name`.
    pub fn link(&mut self, name: &str) -> Result<Link, HostError> {
        let missing = || HostError::NotFound {
            action: format!("find the interface {name}"),
            source: rustix::io::Errno::NODEV.into(),
        };
        self.snapshot()?.links.into_iter().find(|link| link.name == name).ok_or_else(missing)
    }

    /// Index of the interface `name`.
    pub fn link_index(&mut self, name: &str) -> Result<u32, HostError> {
        self.link(name).map(|link| link.index)
    }

    /// Sets the interface up.
    pub fn set_link_up(&mut self, index: u32) -> Result<(), HostError> {
        self.set_link_flags(index, LinkFlags::Up, "up")
    }

    /// Sets the interface down.
    pub fn set_link_down(&mut self, index: u32) -> Result<(), HostError> {
        self.set_link_flags(index, LinkFlags::empty(), "down")
    }

    /// Sets the largest packet of the interface in bytes.
    pub fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<(), HostError> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes.push(LinkAttribute::Mtu(mtu));
        self.connection.request(RouteNetlinkMessage::SetLink(message), 0, || {
            format!("set the MTU of interface {index} to {mtu}")
        })
    }

    /// Removes a virtual interface.
    pub fn delete_link(&mut self, index: u32) -> Result<(), HostError> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        let action = || format!("delete interface {index}");
        self.connection.request(RouteNetlinkMessage::DelLink(message), 0, action)
    }

    /// Adds an address with its prefix, usable at once: there is no other machine on a tunnel whose address could be
    /// the same, so no duplicate address detection.
    pub fn add_address(&mut self, index: u32, address: IpNet) -> Result<(), HostError> {
        let message = address_message(index, address);
        let action = || format!("add the address {address} to interface {index}");
        self.connection.request(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL, action)
    }

    /// Removes one address.
    pub fn delete_address(&mut self, index: u32, address: IpNet) -> Result<(), HostError> {
        let message = address_message(index, address);
        let action = || format!("remove the address {address} from interface {index}");
        self.connection.request(RouteNetlinkMessage::DelAddress(message), 0, action)
    }

    /// Removes all addresses of the interface.
    pub fn flush_addresses(&mut self, index: u32) -> Result<(), HostError> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        for message in self.connection.dump(&request, "list the addresses")? {
            let RouteNetlinkMessage::NewAddress(message) = message else { continue };
            if message.header.index != index {
                continue;
            }
            let removed = self.connection.request(RouteNetlinkMessage::DelAddress(message), 0, || {
                format!("remove the addresses of interface {index}")
            });
            match removed {
                // Removing an IPv4 address removes its secondaries with it.
                Ok(()) | Err(HostError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Adds a route; `Exists` when there is one to the same destination with the same metric.
    pub fn add_route(&mut self, route: &RouteSpec) -> Result<(), HostError> {
        let message = RouteNetlinkMessage::NewRoute(route.message());
        self.connection.request(message, NLM_F_CREATE | NLM_F_EXCL, || format!("add the route to {route}"))
    }

    /// Removes a route.
    pub fn delete_route(&mut self, route: &RouteSpec) -> Result<(), HostError> {
        let message = RouteNetlinkMessage::DelRoute(route.message_to_delete());
        self.connection.request(message, 0, || format!("remove the route to {route}"))
    }

    /// All unicast routes of all tables.
    pub fn routes(&mut self) -> Result<Vec<RouteSpec>, HostError> {
        let mut routes = Vec::new();
        for family in Family::BOTH {
            routes.extend(routing::dump_routes(&mut self.connection, family, None)?);
        }
        Ok(routes)
    }

    /// Adds a rule.
    pub fn add_rule(&mut self, rule: &RuleSpec) -> Result<(), HostError> {
        let message = RouteNetlinkMessage::NewRule(rule.message());
        self.connection.request(message, NLM_F_CREATE | NLM_F_EXCL, || format!("add the rule {rule}"))
    }

    /// Removes a rule.
    pub fn delete_rule(&mut self, rule: &RuleSpec) -> Result<(), HostError> {
        let message = RouteNetlinkMessage::DelRule(rule.message());
        self.connection.request(message, 0, || format!("remove the rule {rule}"))
    }

    /// All rules of both IP versions that look up a table.
    pub fn rules(&mut self) -> Result<Vec<RuleSpec>, HostError> {
        routing::dump_rules(&mut self.connection)
    }

    fn set_link_flags(&mut self, index: u32, flags: LinkFlags, word: &str) -> Result<(), HostError> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = flags;
        message.header.change_mask = LinkFlags::Up;
        let action = || format!("set interface {index} {word}");
        self.connection.request(RouteNetlinkMessage::SetLink(message), 0, action)
    }
}

fn address_message(index: u32, address: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = Family::of(address.addr()).into();
    message.header.prefix_len = address.prefix_len();
    message.header.index = index;
    message.header.scope = AddressScope::Universe;
    message.attributes =
        vec![AddressAttribute::Local(address.addr()), AddressAttribute::Address(address.addr())];
    if address.addr().is_ipv6() {
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    message
}
