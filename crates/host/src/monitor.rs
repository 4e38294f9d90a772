//! Noticing changes of links, addresses and routes.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use netlink_sys::Socket;

use crate::{HostError, Network, Snapshot};

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
pub struct LinkMonitor {
    events: Socket,
    network: Network,
}

impl LinkMonitor {
    /// Subscribes.
    pub fn new() -> Result<LinkMonitor, HostError> {
        todo!()
    }

    /// Looks at everything.
    pub fn snapshot(&mut self) -> Result<Snapshot, HostError> {
        let _ = &mut self.network;
        todo!()
    }

    /// Reads the messages that are waiting. Call again until it returns [`Changed::None`].
    pub fn try_changed(&mut self) -> io::Result<Changed> {
        todo!()
    }
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
