//! The few fields of IP packets and Ethernet frames that a link and a NAT router look at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jumpvpn_tun::checksum;

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
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
/// How an ARP request begins: Ethernet, IPv4, address lengths 6 and 4, operation 1 (RFC 826).
const ARP_REQUEST: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 1];
/// Shortest IPv4 header (RFC 791 section 3.1), and the header of IPv6 (RFC 8200 section 3).
const IPV4_HEADER_LEN: usize = 20;
const IPV6_HEADER_LEN: usize = 40;
/// Next header of messages of the neighbour discovery (RFC 4443), and the hop limit they must have (RFC 4861 section 7.1).
const ICMPV6: u8 = 58;
const UNFORWARDED: u8 = 255;
/// Types of a neighbour's solicitation and advertisement (RFC 4861 sections 4.3 and 4.4), and their length up to the options.
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const NEIGHBOUR_LEN: usize = 24;
/// Flags of an advertisement: from a router, asked for, overriding (RFC 4861 section 4.4).
const ADVERTISED: u8 = 0b1110_0000;
/// The option with the hardware address of the one that is advertised, of one unit of 8 bytes (RFC 4861 section 4.6.1).
const TARGET_LINK_ADDRESS: [u8; 2] = [2, 1];

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

/// Where the payload of an IP packet of either version begins, and between whom it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpView {
    /// Bytes of the IP header.
    pub header_len: usize,
    /// Protocol number; of IPv6 that of the first header after the fixed one.
    pub protocol: u8,
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// A fragment of IPv4 other than the first: it has no ports.
    pub later_fragment: bool,
}

impl IpView {
    /// Reads the header; nothing when it is not whole, or of no version.
    #[must_use]
    pub fn of(packet: &[u8]) -> Option<IpView> {
        match packet.first()? >> 4 {
            4 => {
                let Ipv4View { header_len, protocol, source, destination, later_fragment } =
                    Ipv4View::of(packet)?;
                let (source, destination) = (source.into(), destination.into());
                Some(IpView { header_len, protocol, source, destination, later_fragment })
            }
            6 => {
                let header = packet.first_chunk::<IPV6_HEADER_LEN>()?;
                let address = |at: usize| ipv6_at(header, at).map(IpAddr::from);
                Some(IpView {
                    header_len: IPV6_HEADER_LEN,
                    protocol: header[6],
                    source: address(8)?,
                    destination: address(24)?,
                    later_fragment: false,
                })
            }
            _ => None,
        }
    }
}

fn ipv6_at(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    bytes.get(at..at + 16)?.first_chunk::<16>().copied().map(Ipv6Addr::from)
}

/// Whether an IP packet carries UDP.
#[must_use]
pub fn is_udp(packet: &[u8]) -> bool {
    IpView::of(packet).is_some_and(|view| view.protocol == UDP)
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
    /// An IP packet for somebody beyond the link.
    Packet(&'a [u8]),
    /// A question for the hardware address of anyone: the whole answer.
    Neighbour(Vec<u8>),
    /// Nothing the lab carries.
    Other,
}

/// Looks into a frame the laptop sent; questions for hardware addresses are answered in the name of `router_mac`. What IPv6 says to
/// the link alone goes nowhere.
#[must_use]
pub fn look_into(frame: &[u8], router_mac: [u8; 6]) -> Frame<'_> {
    let Some((header, body)) = frame.split_at_checked(ETHERNET_HEADER_LEN) else { return Frame::Other };
    match [header[12], header[13]] {
        ETHERTYPE_IPV4 => Frame::Packet(body),
        ETHERTYPE_ARP => arp_reply(body, router_mac).map_or(Frame::Other, Frame::Neighbour),
        ETHERTYPE_IPV6 => match advertisement(frame, router_mac) {
            Some(reply) => Frame::Neighbour(reply),
            None if is_for_beyond(body) => Frame::Packet(body),
            None => Frame::Other,
        },
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

/// Puts an IP packet into a frame from `from` to `to`.
#[must_use]
pub fn frame_of(packet: &[u8], from: [u8; 6], to: [u8; 6]) -> Vec<u8> {
    let is_v6 = packet.first().is_some_and(|first| first >> 4 == 6);
    let mut frame = Vec::with_capacity(ETHERNET_HEADER_LEN + packet.len());
    frame.extend_from_slice(&to);
    frame.extend_from_slice(&from);
    frame.extend_from_slice(if is_v6 { &ETHERTYPE_IPV6 } else { &ETHERTYPE_IPV4 });
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

/// Whether an IPv6 packet may leave its link: neither end of it is an address of the link (RFC 4291 section 2.5.6), and it
/// is not for a group.
fn is_for_beyond(packet: &[u8]) -> bool {
    let beyond = |address: IpAddr| match address {
        IpAddr::V6(address) => !address.is_unicast_link_local() && !address.is_multicast(),
        IpAddr::V4(_) => false,
    };
    IpView::of(packet).is_some_and(|view| beyond(view.source) && beyond(view.destination))
}

/// Answers a neighbour's solicitation (RFC 4861 section 7.2) for any address but the asker's own. One that looks for
/// another owner of its address, and asks in nobody's name, gets no answer.
fn advertisement(frame: &[u8], router_mac: [u8; 6]) -> Option<Vec<u8>> {
    let packet = frame.get(ETHERNET_HEADER_LEN..)?;
    let view = IpView::of(packet).filter(|view| view.protocol == ICMPV6)?;
    let question = packet.get(IPV6_HEADER_LEN..IPV6_HEADER_LEN + NEIGHBOUR_LEN)?;
    let (asker, wanted) = (ipv6_at(packet, 8)?, ipv6_at(question, 8)?);
    if question[0] != SOLICITATION || packet[7] != UNFORWARDED {
        return None;
    }
    if view.source.is_unspecified() || view.source == IpAddr::V6(wanted) {
        return None;
    }
    let mut answer = vec![ADVERTISEMENT, 0, 0, 0, ADVERTISED, 0, 0, 0];
    answer.extend_from_slice(&wanted.octets());
    answer.extend_from_slice(&TARGET_LINK_ADDRESS);
    answer.extend_from_slice(&router_mac);
    let len = answer.len() as u16;
    let addresses = [wanted.octets(), asker.octets()].concat();
    let sum = checksum::pseudo_header(&addresses, ICMPV6, len) + checksum::sum(&answer);
    answer[2..4].copy_from_slice(&checksum::finish(sum));
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend_from_slice(&len.to_be_bytes());
    packet.extend_from_slice(&[ICMPV6, UNFORWARDED]);
    packet.extend_from_slice(&addresses);
    packet.extend_from_slice(&answer);
    Some(frame_of(&packet, router_mac, sender_of(frame)?))
}

#[cfg(test)]
mod tests;
