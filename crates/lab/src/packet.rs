//! The few fields of IPv4 packets and Ethernet frames that a link and a NAT router look at.

use std::net::Ipv4Addr;

/// Bytes of an Ethernet header.
pub const ETHERNET_HEADER_LEN: usize = 14;
/// Protocol numbers (IANA "Protocol Numbers").
pub const ICMP: u8 = 1;
/// See [`ICMP`].
pub const TCP: u8 = 6;
/// See [`ICMP`].
pub const UDP: u8 = 17;

/// EtherTypes (IANA "IEEE 802 Numbers").
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
/// How an ARP request begins: Ethernet, IPv4, address lengths 6 and 4, operation 1 (RFC 826).
const ARP_REQUEST: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 1];
/// Shortest IPv4 header (RFC 791 section 3.1).
const IPV4_HEADER_LEN: usize = 20;

/// Where the parts of an IPv4 packet are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4View {
    /// Bytes of the IP header.
    pub header_len: usize,
    /// Protocol number.
    pub protocol: u8,
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// A fragment other than the first: it has no ports.
    pub later_fragment: bool,
}

impl Ipv4View {
    /// Reads the header; nothing when it is not a whole IPv4 header.
    #[must_use]
    pub fn of(packet: &[u8]) -> Option<Ipv4View> {
        let header = packet.get(..IPV4_HEADER_LEN)?;
        let header_len = usize::from(header[0] & 0x0f) * 4;
        if header[0] >> 4 != 4 || header_len < IPV4_HEADER_LEN || packet.len() < header_len {
            return None;
        }
        Some(Ipv4View {
            header_len,
            protocol: header[9],
            source: Ipv4Addr::new(header[12], header[13], header[14], header[15]),
            destination: Ipv4Addr::new(header[16], header[17], header[18], header[19]),
            later_fragment: u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0,
        })
    }
}

/// Whether an IP packet carries UDP.
#[must_use]
pub fn is_udp(packet: &[u8]) -> bool {
    Ipv4View::of(packet).is_some_and(|view| view.protocol == UDP)
}

/// Reads two bytes at `at`, big-endian.
#[must_use]
pub fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

/// Replaces the 16-bit word at `at` and mends the internet checksum at `checksum_at` (RFC 1624, equation 3).
pub fn replace_word(bytes: &mut [u8], at: usize, new: u16, checksum_at: Option<usize>) {
    let Some(old) = word(bytes, at) else { return };
    bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
    let Some(checksum_at) = checksum_at else { return };
    let Some(checksum) = word(bytes, checksum_at) else { return };
    let mut sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    // The fold leaves 16 bits.
    bytes[checksum_at..checksum_at + 2].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

/// What an Ethernet frame carries.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// An IPv4 packet.
    Ipv4(&'a [u8]),
    /// A question for the hardware address of anyone: the whole answer.
    ArpReply(Vec<u8>),
    /// Nothing the lab carries.
    Other,
}

/// Looks into a frame the laptop sent; ARP questions are answered in the name of `router_mac`.
#[must_use]
pub fn look_into(frame: &[u8], router_mac: [u8; 6]) -> Frame<'_> {
    let Some((header, body)) = frame.split_at_checked(ETHERNET_HEADER_LEN) else { return Frame::Other };
    match [header[12], header[13]] {
        ETHERTYPE_IPV4 => Frame::Ipv4(body),
        ETHERTYPE_ARP => arp_reply(body, router_mac).map_or(Frame::Other, Frame::ArpReply),
        _ => Frame::Other,
    }
}

/// A question to everybody for the hardware address of `wanted` (RFC 826).
#[must_use]
pub fn arp_request(from_mac: [u8; 6], from: Ipv4Addr, wanted: Ipv4Addr) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend_from_slice(&from_mac);
    frame.extend_from_slice(&ETHERTYPE_ARP);
    frame.extend_from_slice(&ARP_REQUEST);
    frame.extend_from_slice(&from_mac);
    frame.extend_from_slice(&from.octets());
    frame.extend_from_slice(&[0; 6]);
    frame.extend_from_slice(&wanted.octets());
    frame
}

/// Who sent an Ethernet frame.
#[must_use]
pub fn sender_of(frame: &[u8]) -> Option<[u8; 6]> {
    frame.get(6..12)?.try_into().ok()
}

/// Puts an IPv4 packet into a frame from `from` to `to`.
#[must_use]
pub fn frame_ipv4(packet: &[u8], from: [u8; 6], to: [u8; 6]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(ETHERNET_HEADER_LEN + packet.len());
    frame.extend_from_slice(&to);
    frame.extend_from_slice(&from);
    frame.extend_from_slice(&ETHERTYPE_IPV4);
    frame.extend_from_slice(packet);
    frame
}

/// Answers an ARP request (RFC 826) for any address but the asker's own, which is how duplicates are looked for.
fn arp_reply(request: &[u8], router_mac: [u8; 6]) -> Option<Vec<u8>> {
    let request = request.get(..28)?;
    let (asker_mac, asker_ip, wanted_ip) = (&request[8..14], &request[14..18], &request[24..28]);
    if request[..8] != ARP_REQUEST || asker_ip == wanted_ip || asker_ip == [0; 4] {
        return None;
    }
    let mut reply = Vec::with_capacity(ETHERNET_HEADER_LEN + 28);
    reply.extend_from_slice(asker_mac);
    reply.extend_from_slice(&router_mac);
    reply.extend_from_slice(&ETHERTYPE_ARP);
    reply.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, 2]);
    reply.extend_from_slice(&router_mac);
    reply.extend_from_slice(wanted_ip);
    reply.extend_from_slice(asker_mac);
    reply.extend_from_slice(asker_ip);
    Some(reply)
}

#[cfg(test)]
mod tests;
