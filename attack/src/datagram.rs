//! UDP datagrams in whole IP packets of either family: what passes on a link, and what an attacker puts there.

use std::net::{IpAddr, SocketAddr};

use jumpvpn_lab::packet::{self, IpView};

use crate::packet::{Packet, UDP_LEN};

/// One datagram with its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Datagram {
    /// Where it says it comes from.
    pub(crate) source: SocketAddr,
    /// Where it goes.
    pub(crate) destination: SocketAddr,
    /// What it carries.
    pub(crate) payload: Vec<u8>,
}

impl Datagram {
    /// The datagram in a packet; nothing when it is not a whole UDP datagram.
    pub(crate) fn of(packet: &[u8]) -> Option<Datagram> {
        let view = IpView::of(packet).filter(|view| view.protocol == packet::UDP && !view.later_fragment)?;
        let word = |at: usize| packet::word(packet, view.header_len + at);
        let (source_port, destination_port, len) = (word(0)?, word(2)?, usize::from(word(4)?));
        let body = packet.get(view.header_len + UDP_LEN..view.header_len + len)?;
        Some(Datagram {
            source: SocketAddr::new(view.source, source_port),
            destination: SocketAddr::new(view.destination, destination_port),
            payload: body.to_vec(),
        })
    }

    /// The packet.
    pub(crate) fn packet(&self) -> Vec<u8> {
        let mut packet = Packet::to(self.destination, &self.payload);
        packet.set_sender(self.source);
        packet.finished()
    }

    /// The first byte, which names the message; zero when it is empty.
    pub(crate) fn first(&self) -> u8 {
        self.payload.first().copied().unwrap_or_default()
    }

    /// The same datagram from another source.
    pub(crate) fn from(&self, source: SocketAddr) -> Datagram {
        Datagram { source, ..self.clone() }
    }
}

/// An address of the attacker's choice.
pub(crate) fn address(ip: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(ip.into(), port)
}

#[cfg(test)]
mod tests;
