//! A UDP datagram in a whole IP packet of either family, whose sender may be written anew each time it is sent.

use std::net::{IpAddr, SocketAddr};

use jumpvpn_lab::packet::UDP;
use jumpvpn_tun::checksum;

/// What common systems send with.
const HOP_LIMIT: u8 = 64;
/// IPv4 header without options (RFC 791), IPv6 header (RFC 8200), and UDP header (RFC 768).
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;
pub(crate) const UDP_LEN: usize = 8;
/// "Don't fragment" of IPv4.
const DF: u8 = 0x40;
/// Where the checksum of an IPv4 header is.
const IPV4_CHECKSUM: std::ops::Range<usize> = 10..12;

/// One packet.
pub(crate) struct Packet {
    bytes: Vec<u8>,
    /// Where the source address is, and where the UDP header is.
    source: std::ops::Range<usize>,
    udp_at: usize,
    /// One's complement sum of all that a UDP checksum covers, but the sender's address and port.
    sum: u64,
}

impl Packet {
    /// With `datagram` for `destination`, of nobody yet.
    pub(crate) fn to(destination: SocketAddr, datagram: &[u8]) -> Packet {
        let len = (UDP_LEN + datagram.len()) as u16;
        let mut bytes = match destination.ip() {
            IpAddr::V4(address) => {
                let mut bytes = vec![0; IPV4_LEN];
                bytes[0] = 0x45;
                bytes[2..4].copy_from_slice(&(IPV4_LEN as u16 + len).to_be_bytes());
                bytes[6] = DF;
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
        let source = if destination.is_ipv4() { 12..16 } else { 8..24 };
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&destination.port().to_be_bytes());
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(datagram);
        // Destination, UDP header and datagram, and the rest of the pseudo header.
        let sum = checksum::sum(&bytes[source.end..]) + checksum::pseudo_header(&[], UDP, len);
        Packet { bytes, source, udp_at, sum }
    }

    /// From now on it is this one's, who must be of the destination's family.
    pub(crate) fn set_sender(&mut self, sender: SocketAddr) {
        let source = &mut self.bytes[self.source.clone()];
        match sender.ip() {
            IpAddr::V4(address) => source.copy_from_slice(&address.octets()),
            IpAddr::V6(address) => source.copy_from_slice(&address.octets()),
        }
        let sum = self.sum + checksum::sum(source) + checksum::word(sender.port());
        // Zero would say that there is none (RFC 768), which IPv6 does not allow (RFC 8200, section 8.1).
        let sum = match checksum::finish(sum) {
            [0, 0] => [0xff; 2],
            sum => sum,
        };
        self.bytes[self.udp_at..][..2].copy_from_slice(&sender.port().to_be_bytes());
        self.bytes[self.udp_at + 6..][..2].copy_from_slice(&sum);
    }

    /// Fills in the checksum of an IPv4 header, which the kernel does for what is written to a raw socket.
    pub(crate) fn finished(mut self) -> Vec<u8> {
        if self.udp_at == IPV4_LEN {
            let sum = checksum::finish(checksum::sum(&self.bytes[..IPV4_LEN]));
            self.bytes[IPV4_CHECKSUM].copy_from_slice(&sum);
        }
        self.bytes
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests;
