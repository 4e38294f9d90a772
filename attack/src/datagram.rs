//! UDP datagrams in whole IPv4 packets: what passes on a link, and what an attacker puts there.

use std::net::{Ipv4Addr, SocketAddrV4};

use jumpvpn_lab::packet::{self, Ipv4View};

/// Shortest IPv4 header (RFC 791 section 3.1) and UDP header (RFC 768), bytes.
const IPV4_HEADER_LEN: usize = 20;
const UDP_HEADER_LEN: usize = 8;

/// One datagram with its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Datagram {
    /// Where it says it comes from.
    pub(crate) source: SocketAddrV4,
    /// Where it goes.
    pub(crate) destination: SocketAddrV4,
    /// What it carries.
    pub(crate) payload: Vec<u8>,
}

impl Datagram {
    /// The datagram in a packet; nothing when it is not a whole UDP datagram.
    pub(crate) fn of(packet: &[u8]) -> Option<Datagram> {
        let view =
            Ipv4View::of(packet).filter(|view| view.protocol == packet::UDP && !view.later_fragment)?;
        let word = |at: usize| packet::word(packet, view.header_len + at);
        let (source_port, destination_port, len) = (word(0)?, word(2)?, usize::from(word(4)?));
        let body = packet.get(view.header_len + UDP_HEADER_LEN..view.header_len + len)?;
        Some(Datagram {
            source: SocketAddrV4::new(view.source, source_port),
            destination: SocketAddrV4::new(view.destination, destination_port),
            payload: body.to_vec(),
        })
    }

    /// The packet. Without a UDP checksum, which IPv4 allows.
    pub(crate) fn packet(&self) -> Vec<u8> {
        let len = IPV4_HEADER_LEN + UDP_HEADER_LEN + self.payload.len();
        let mut packet = Vec::with_capacity(len);
        packet.extend_from_slice(&[0x45, 0]);
        packet.extend_from_slice(&word_of(len));
        // No identification, may not be fragmented.
        packet.extend_from_slice(&[0, 0, 0x40, 0, TTL, packet::UDP, 0, 0]);
        packet.extend_from_slice(&self.source.ip().octets());
        packet.extend_from_slice(&self.destination.ip().octets());
        let sum = checksum(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend_from_slice(&self.source.port().to_be_bytes());
        packet.extend_from_slice(&self.destination.port().to_be_bytes());
        packet.extend_from_slice(&word_of(UDP_HEADER_LEN + self.payload.len()));
        packet.extend_from_slice(&[0, 0]);
        packet.extend_from_slice(&self.payload);
        packet
    }

    /// The first byte, which names the message; zero when it is empty.
    pub(crate) fn first(&self) -> u8 {
        self.payload.first().copied().unwrap_or_default()
    }

    /// The same datagram from another source.
    pub(crate) fn from(&self, source: SocketAddrV4) -> Datagram {
        Datagram { source, ..self.clone() }
    }
}

/// What common systems send with.
const TTL: u8 = 64;

fn word_of(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

/// RFC 1071.
fn checksum(header: &[u8]) -> u16 {
    let mut sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// An address of the attacker's choice.
pub(crate) fn address(ip: [u8; 4], port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from(ip), port)
}

#[cfg(test)]
mod tests;
