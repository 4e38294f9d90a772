//! Just enough of IP, TCP and UDP headers to cut and join packets.

use std::ops::Range;

/// Protocol number of TCP.
pub const TCP: u8 = 6;
/// Protocol number of UDP.
pub const UDP: u8 = 17;

/// Where the checksum is in a TCP header.
pub const TCP_CHECKSUM: usize = 16;
/// Where the checksum is in a UDP header.
pub const UDP_CHECKSUM: usize = 6;
/// Where the sequence number is in a TCP header.
pub const TCP_SEQUENCE: usize = 4;
/// Where the flags are in a TCP header.
pub const TCP_FLAGS: usize = 13;
pub const FLAG_FIN: u8 = 0x01;
pub const FLAG_PSH: u8 = 0x08;
pub const FLAG_ACK: u8 = 0x10;
pub const FLAG_CWR: u8 = 0x80;

/// Length of an IPv4 header without options.
pub const IPV4_LEN: usize = 20;
/// Length of an IPv6 header.
pub const IPV6_LEN: usize = 40;
/// "Don't fragment" in the first byte of flags and fragment offset.
pub const IPV4_DF: u8 = 0x40;
const TCP_LEN: usize = 20;
const UDP_LEN: usize = 8;

/// Whether the first byte is that of an IPv6 packet; none if of neither version.
pub fn is_ipv6(packet: &[u8]) -> Option<bool> {
    match packet.first()? >> 4 {
        4 => Some(false),
        6 => Some(true),
        _ => None,
    }
}

/// Where both addresses lie in the IP header.
pub fn addresses(ipv6: bool) -> Range<usize> {
    if ipv6 { 8..40 } else { 12..20 }
}

/// Length of the TCP (with options) or UDP header at `start`, if it lies within the packet.
pub fn transport_len(packet: &[u8], start: usize, protocol: u8) -> Option<usize> {
    let len = match protocol {
        TCP => usize::from(packet.get(start + 12)? >> 4) * 4,
        _ => UDP_LEN,
    };
    let least_len = if protocol == TCP { TCP_LEN } else { UDP_LEN };
    (len >= least_len && packet.len() >= start + len).then_some(len)
}

/// The layout of a whole, unfragmented TCP or UDP packet without IP options or extension headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub ipv6: bool,
    pub protocol: u8,
    /// Length of the IP header.
    pub ip_len: usize,
    /// Length of the IP and transport headers.
    pub header_len: usize,
}

impl Layout {
    /// Reads the layout; none for anything that is not as simple, or whose lengths disagree.
    pub fn of(packet: &[u8]) -> Option<Layout> {
        let ipv6 = is_ipv6(packet)?;
        let (ip_len, protocol, stated_len) = if ipv6 {
            let header = packet.first_chunk::<IPV6_LEN>()?;
            (IPV6_LEN, header[6], IPV6_LEN + usize::from(u16::from_be_bytes([header[4], header[5]])))
        } else {
            let header = packet.first_chunk::<IPV4_LEN>()?;
            let fragment = header[6] & !IPV4_DF != 0 || header[7] != 0;
            if header[0] != 0x45 || fragment {
                return None;
            }
            (IPV4_LEN, header[9], usize::from(u16::from_be_bytes([header[2], header[3]])))
        };
        if stated_len != packet.len() || ![TCP, UDP].contains(&protocol) {
            return None;
        }
        let header_len = ip_len + transport_len(packet, ip_len, protocol)?;
        if protocol == UDP && be16(packet, ip_len + 4) != packet.len() - ip_len {
            return None;
        }
        Some(Layout { ipv6, protocol, ip_len, header_len })
    }

    /// Where the checksum field is in the transport header.
    pub fn checksum_offset(&self) -> usize {
        if self.protocol == TCP { TCP_CHECKSUM } else { UDP_CHECKSUM }
    }
}

/// The big-endian number at `at`, which the caller knows to be within the packet.
pub fn be16(packet: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]))
}

/// The big-endian number at `at`, which the caller knows to be within the packet.
pub fn be32(packet: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]])
}

/// Writes `bytes` at `at`.
pub fn put<const N: usize>(packet: &mut [u8], at: usize, bytes: [u8; N]) {
    packet[at..at + N].copy_from_slice(&bytes);
}
