//! A UDP datagram in a whole IP packet of either family, whose sender is written anew each time it is sent.

use std::net::{IpAddr, SocketAddr};

const UDP: u8 = 17;
/// What common systems send with.
const HOP_LIMIT: u8 = 64;
/// IPv4 header without options (RFC 791), IPv6 header (RFC 8200), and UDP header (RFC 768).
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;
const UDP_LEN: usize = 8;

/// One packet.
pub(super) struct Packet {
    bytes: Vec<u8>,
    /// Where the source address is, and where the UDP header is.
    source: std::ops::Range<usize>,
    udp_at: usize,
    /// One's complement sum of all that a UDP checksum covers, but the sender's address and port.
    sum: u64,
}

impl Packet {
    /// With `datagram` for `gateway`, of nobody yet. The kernel fills in the checksum of an IPv4 header.
    pub(super) fn to(gateway: SocketAddr, datagram: &[u8]) -> Packet {
        let len = (UDP_LEN + datagram.len()) as u16;
        let mut bytes = match gateway.ip() {
            IpAddr::V4(address) => {
                let mut bytes = vec![0; IPV4_LEN];
                bytes[0] = 0x45;
                bytes[2..4].copy_from_slice(&(IPV4_LEN as u16 + len).to_be_bytes());
                (bytes[8], bytes[9]) = (HOP_LIMIT, UDP);
                bytes[16..20].copy_from_slice(&address.octets());
                bytes
            }
            IpAddr::V6(address) => {
                let mut bytes = vec![0; IPV6_LEN];
                bytes[0] = 0x60;
                bytes[4..6].copy_from_slice(&len.to_be_bytes());
                (bytes[6], bytes[7]) = (UDP, HOP_LIMIT);
                bytes[24..40].copy_from_slice(&address.octets());
                bytes
            }
        };
        let udp_at = bytes.len();
        let source = if gateway.is_ipv4() { 12..16 } else { 8..24 };
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&gateway.port().to_be_bytes());
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(datagram);
        // Destination, UDP header and datagram, and the rest of the pseudo header.
        let sum = words(&bytes[source.end..]) + u64::from(UDP) + u64::from(len);
        Packet { bytes, source, udp_at, sum }
    }

    /// From now on it is this one's.
    pub(super) fn set_sender(&mut self, sender: SocketAddr) {
        let source = &mut self.bytes[self.source.clone()];
        match sender.ip() {
            IpAddr::V4(address) => source.copy_from_slice(&address.octets()),
            IpAddr::V6(address) => source.copy_from_slice(&address.octets()),
        }
        let mut sum = self.sum + words(source) + u64::from(sender.port());
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        // Zero would say that there is none (RFC 768), which IPv6 does not allow (RFC 8200, section 8.1).
        let checksum = if sum == 0xffff { 0xffff } else { !(sum as u16) };
        self.bytes[self.udp_at..][..2].copy_from_slice(&sender.port().to_be_bytes());
        self.bytes[self.udp_at + 6..][..2].copy_from_slice(&checksum.to_be_bytes());
    }

    /// All of it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Sum of 16-bit words, an odd byte padded with zero.
fn words(bytes: &[u8]) -> u64 {
    let word = |pair: &[u8]| u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    bytes.chunks(2).map(word).sum()
}

#[cfg(test)]
mod tests;
