//! Noticing changes of links, addresses and routes.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::io::Errno;

use crate::netlink::{self, Message};
use crate::{HostError, Network, Snapshot, routing, snapshot};

/// The groups subscribed to, as the bit mask of `struct sockaddr_nl`: LINK, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR and
/// IPV6_ROUTE (RTMGRP_* of Linux `include/uapi/linux/rtnetlink.h`).
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

/// Size of the kernel's queue towards us, in bytes. A link coming up is some ten messages of 1 KiB; a daemon that
/// installs thousands of routes overruns any queue, which is what [`Changed::Overrun`] is for.
const QUEUE_LEN: usize = 1 << 20;

/// What [`LinkMonitor::try_changed`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// Nothing is waiting.
    None,
    /// Something changed.
    Some(Changes),
    /// The kernel had to drop messages: everything may have changed, take a [`LinkMonitor::snapshot`].
    Overrun,
}

/// A batch of changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// What was lost, in order; each can be acted upon at once, without a snapshot.
    pub losses: Vec<Loss>,
    /// Whether anything else changed, so that a snapshot (after a [`Debounce`](crate::Debounce)) is worth taking.
    pub gains: bool,
}

/// Something that is no longer there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// The interface was removed.
    LinkRemoved {
        /// Interface index.
        index: u32,
    },
    /// The interface was set down by the administrator.
    LinkDown {
        /// Interface index.
        index: u32,
    },
    /// The cable was pulled, the radio lost its network.
    CarrierLost {
        /// Interface index.
        index: u32,
    },
    /// An address was removed.
    AddressRemoved {
        /// Interface index.
        index: u32,
        /// The address.
        address: IpAddr,
    },
    /// A default route of the main table was removed (by a message: links going down remove IPv4 routes silently).
    DefaultRouteRemoved {
        /// Interface index.
        index: u32,
        /// Whether it was the IPv6 one.
        ipv6: bool,
    },
}

/// A subscription to the kernel's link, address and route messages.
///
/// Losses are reported as soon as the kernel says so. The kernel itself passes a second change of a link's carrier
/// within one second on only when that second is over (`linkwatch`), so silence of a path must be watched as well.
pub struct LinkMonitor {
    events: Socket,
    network: Network,
    buffer: Vec<u8>,
    /// Which links could carry packets when last heard of: only the transition is a loss.
    up: BTreeMap<u32, bool>,
}

impl LinkMonitor {
    /// Subscribes, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`HostError`] when the kernel has no netlink; no right is needed.
    pub fn new() -> Result<LinkMonitor, HostError> {
        LinkMonitor::with_queue(QUEUE_LEN)
    }

    /// Subscribes with a queue of about `queue_len` bytes (the kernel has bounds of its own).
    ///
    /// # Errors
    /// As [`LinkMonitor::new`].
    pub fn with_queue(queue_len: usize) -> Result<LinkMonitor, HostError> {
        let subscribe = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.set_rx_buf_sz(i32::try_from(queue_len).unwrap_or(i32::MAX))?;
            socket.bind(&SocketAddr::new(0, GROUPS))?;
            socket.set_non_blocking(true)?;
            Ok(socket)
        };
        let events = subscribe().map_err(HostError::io("subscribe to network changes"))?;
        let mut monitor =
            LinkMonitor { events, network: Network::open()?, buffer: Vec::new(), up: BTreeMap::new() };
        monitor.snapshot()?;
        Ok(monitor)
    }

    /// Looks at everything.
    ///
    /// # Errors
    /// [`HostError`] when the kernel refuses to list.
    pub fn snapshot(&mut self) -> Result<Snapshot, HostError> {
        let snapshot = self.network.snapshot()?;
        self.up = snapshot.links.iter().map(|link| (link.index, link.up)).collect();
        Ok(snapshot)
    }

    /// Reads the messages that are waiting. Call again until it returns [`Changed::None`].
    ///
    /// # Errors
    /// A fault of the socket; `WouldBlock` is [`Changed::None`].
    pub fn try_changed(&mut self) -> io::Result<Changed> {
        match netlink::receive(&self.events, &mut self.buffer) {
            Ok((messages, strange_count)) => {
                // What we cannot read may matter.
                let mut changes = Changes { losses: Vec::new(), gains: strange_count > 0 };
                for message in messages {
                    self.take(message, &mut changes);
                }
                Ok(Changed::Some(changes))
            }
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::AGAIN) => Ok(Changed::None),
                Some(Errno::NOBUFS) => Ok(Changed::Overrun),
                // Nothing was read: an empty batch makes the caller ask again.
                Some(Errno::INTR) => Ok(Changed::Some(Changes::default())),
                _ => Err(error),
            },
        }
    }

    fn take(&mut self, message: Message, changes: &mut Changes) {
        let NetlinkPayload::InnerMessage(message) = message.payload else { return };
        match message {
            // Ports of a bridge announce their bridge state under this family.
            RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link)
                if link.header.interface_family == AddressFamily::Bridge => {}
            RouteNetlinkMessage::NewLink(link) => self.take_link(&link, changes),
            RouteNetlinkMessage::DelLink(link) => {
                self.up.remove(&link.header.index);
                changes.losses.push(Loss::LinkRemoved { index: link.header.index });
            }
            RouteNetlinkMessage::DelAddress(message) => {
                if let Some(address) = snapshot::address_of(&message) {
                    let index = message.header.index;
                    changes.losses.push(Loss::AddressRemoved { index, address });
                }
            }
            RouteNetlinkMessage::DelRoute(message) => {
                let mut routes = Vec::new();
                routing::push_routes(&message, &mut routes);
                changes.losses.extend(routes.iter().filter_map(lost_default));
                changes.gains = true; // a route that went away can uncover another one
            }
            _ => changes.gains = true,
        }
    }

    fn take_link(&mut self, link: &LinkMessage, changes: &mut Changes) {
        let index = link.header.index;
        let up = snapshot::is_up(link.header.flags);
        let was_up = self.up.insert(index, up).unwrap_or(false);
        match (was_up, up) {
            (true, false) if link.header.flags.contains(LinkFlags::Up) => {
                changes.losses.push(Loss::CarrierLost { index });
            }
            (true, false) => changes.losses.push(Loss::LinkDown { index }),
            _ => changes.gains = true,
        }
    }
}

fn lost_default(route: &crate::RouteSpec) -> Option<Loss> {
    let default = route.destination.prefix_len() == 0 && route.table == routing::MAIN_TABLE;
    let ipv6 = route.destination.addr().is_ipv6();
    route.oif.filter(|_| default).map(|index| Loss::DefaultRouteRemoved { index, ipv6 })
}

impl AsFd for LinkMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

impl AsRawFd for LinkMonitor {
    fn as_raw_fd(&self) -> RawFd {
        self.events.as_raw_fd()
    }
}
