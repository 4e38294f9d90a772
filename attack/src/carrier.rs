//! How a datagram gets to the gateway: one class for each transport.
//!
//! A scenario speaks of datagrams and of where they come from; what a transport needs so that one arrives (nothing, a
//! connection, a handshake of TLS) is known here alone. A further transport is a further [`Class`].

use std::net::SocketAddr;

use jumpvpn_lab::plan::{self, Family};
use jumpvpn_lab::story::Direction;

use crate::datagram::Datagram;
use crate::wiretap::Wiretap;

/// A transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Datagrams over UDP: any source can be forged.
    Udp,
}

impl Class {
    /// Every class; each scenario is played over those it can be played over.
    pub(crate) const ALL: &[Class] = &[Class::Udp];

    /// As in names of paths.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Class::Udp => "udp",
        }
    }

    /// Where the gateway listens for this class.
    pub(crate) fn gateway(self, family: Family) -> SocketAddr {
        match self {
            Class::Udp => plan::gateway_of(family),
        }
    }
}

/// The attacker's way to the gateway.
#[derive(Debug)]
pub(crate) struct Carrier<'a> {
    /// What lies below.
    pub(crate) class: Class,
    /// Below that.
    pub(crate) family: Family,
    /// The gateway's access line.
    pub(crate) trunk: &'a Wiretap,
}

impl Carrier<'_> {
    /// Makes a datagram arrive at the gateway that says it comes from `source`.
    pub(crate) fn forge(&self, source: SocketAddr, payload: &[u8]) {
        match self.class {
            Class::Udp => {
                let destination = self.class.gateway(self.family);
                let datagram = Datagram { source, destination, payload: payload.to_vec() };
                self.trunk.inject(Direction::Up, datagram);
            }
        }
    }
}
