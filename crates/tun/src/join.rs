//! Joining packets of one flow into super-packets, without copying their payload.
//!
//! The rules are those of the kernel's own receive offload (Linux `tcp_gro_receive`, `udp_gro_receive`): only packets
//! that a later split reproduces are joined, and the order within a flow is kept. Checksums are verified before
//! joining, as the kernel computes a fresh one for a super-packet and would bless a damaged payload.

use std::io::IoSlice;

use crate::checksum;
use crate::headers::{
    FLAG_ACK, FLAG_PSH, IPV4_DF, Layout, TCP, TCP_FLAGS, TCP_SEQUENCE, addresses, be16, be32, put,
};
use crate::vnet::{Gso, VNET_LEN, VnetHeader};

/// Longest super-packet: the largest IPv4 total length, which the IPv6 payload length does not undercut.
const MAX_JOINED_LEN: usize = u16::MAX as usize;
/// Most members: the kernel takes up to 64 UDP segments (UDP_MAX_SEGMENTS; 128 since Linux 6.9), and 64 TCP segments
/// of a common MTU are more than 64 KiB. With one slice per member, far below IOV_MAX (1,024).
pub const MAX_MEMBER_COUNT: usize = 64;
/// IPv6, TCP and its options.
const MAX_HEADER_LEN: usize = 40 + 60;
/// Marks the end of a chain.
const NONE: u16 = u16::MAX;

/// A super-packet in the making, or an ordinary packet.
#[derive(Debug, Clone)]
struct Group {
    first: u16,
    last: u16,
    count: u16,
    /// None for packets that cannot be joined with any.
    layout: Option<Layout>,
    /// Payload of the first member, and so of all but the last.
    segment_len: usize,
    total_len: usize,
    next_sequence: u32,
    /// Whether the first member's checksum was found right; checked when a second one comes.
    verified: bool,
    /// Whether more can be appended.
    open: bool,
}

/// Groups packets of a batch. Keeps its tables from batch to batch.
#[derive(Debug, Default)]
pub struct Joiner {
    groups: Vec<Group>,
    /// For each packet the next one of its group.
    next: Vec<u16>,
}

impl Joiner {
    /// Sorts `packets` (at most 65,535) into groups, in the order of their first members.
    pub fn sort(&mut self, packets: &[&[u8]], join_udp: bool) {
        self.groups.clear();
        self.next.clear();
        self.next.resize(packets.len(), NONE);
        for (number, packet) in packets.iter().enumerate() {
            // The caller hands over at most 65,535 packets.
            self.place(packets, number as u16, packet, join_udp);
        }
    }

    /// Number of groups.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// The members of a group, in order.
    pub fn members(&self, group: usize) -> impl Iterator<Item = usize> {
        let mut at = self.groups[group].first;
        std::iter::from_fn(move || {
            let number = usize::from(at);
            (at != NONE).then(|| at = self.next[number]).map(|()| number)
        })
    }

    /// Whether the group is a super-packet; otherwise its only member is to be written as it is.
    pub fn is_joined(&self, group: usize) -> bool {
        self.groups[group].count > 1
    }

    /// Fills `slices` with what is to be written for a super-packet; returns how many of them.
    ///
    /// `head` receives the driver's header and the IP and transport header of the super-packet.
    pub fn gather<'a>(
        &self,
        group: usize,
        packets: &[&'a [u8]],
        head: &'a mut Head,
        slices: &mut [IoSlice<'a>; MAX_MEMBER_COUNT + 1],
    ) -> usize {
        let state = &self.groups[group];
        let Some(layout) = state.layout else { return 0 };
        let (first, last) = (packets[usize::from(state.first)], packets[usize::from(state.last)]);
        let head_len = head.write(state, &layout, first, last);
        slices[0] = IoSlice::new(&head.bytes[..head_len]);
        for (slice, member) in slices[1..].iter_mut().zip(self.members(group)) {
            *slice = IoSlice::new(&packets[member][layout.header_len..]);
        }
        usize::from(state.count) + 1
    }

    fn place(&mut self, packets: &[&[u8]], number: u16, packet: &[u8], join_udp: bool) {
        let layout = Layout::of(packet).filter(|layout| may_join(layout, packet, join_udp));
        if let Some(layout) = layout {
            // The newest group of the flow is the only one that may grow, or the order would change.
            let same_flow = |group: &&mut Group| {
                group.layout.is_some_and(|other| {
                    is_same_flow(&layout, packet, &other, packets[usize::from(group.first)])
                })
            };
            if let Some(group) = self.groups.iter_mut().rev().find(same_flow) {
                if group.append(packets, packet, &layout) {
                    self.next[usize::from(group.last)] = number;
                    group.last = number;
                    return;
                }
                group.open = false;
            }
        } else if let Some(layout) = Layout::of(packet) {
            // A packet that cannot be joined (SYN, FIN, …) must still not be overtaken by later ones of its flow.
            self.close_flow(packets, packet, &layout);
        }
        self.groups.push(Group::new(number, packet, layout));
    }

    fn close_flow(&mut self, packets: &[&[u8]], packet: &[u8], layout: &Layout) {
        for group in &mut self.groups {
            let same_flow = group
                .layout
                .is_some_and(|other| is_same_flow(layout, packet, &other, packets[usize::from(group.first)]));
            if same_flow {
                group.open = false;
            }
        }
    }
}

impl Group {
    fn new(number: u16, packet: &[u8], layout: Option<Layout>) -> Group {
        let payload_len = layout.map_or(0, |layout| packet.len() - layout.header_len);
        let tcp = layout.filter(|layout| layout.protocol == TCP);
        let (next_sequence, pushed) = tcp.map_or((0, false), |layout| {
            let sequence = be32(packet, layout.ip_len + TCP_SEQUENCE);
            // The payload is shorter than 2^16.
            (sequence.wrapping_add(payload_len as u32), packet[layout.ip_len + TCP_FLAGS] & FLAG_PSH != 0)
        });
        Group {
            first: number,
            last: number,
            count: 1,
            layout,
            segment_len: payload_len,
            total_len: packet.len(),
            next_sequence,
            verified: false,
            open: layout.is_some() && !pushed,
        }
    }

    /// Takes `packet`, of the same flow, as its last member if the rules allow.
    fn append(&mut self, packets: &[&[u8]], packet: &[u8], layout: &Layout) -> bool {
        let first = packets[usize::from(self.first)];
        let payload_len = packet.len() - layout.header_len;
        let fits = self.open
            && self.layout == Some(*layout)
            && payload_len <= self.segment_len
            && self.total_len + payload_len <= MAX_JOINED_LEN
            && usize::from(self.count) < MAX_MEMBER_COUNT;
        if !fits || !ip_continues(first, packet, layout, self.count) {
            return false;
        }
        let pushed = if layout.protocol == TCP {
            if !tcp_continues(first, packet, layout, self.next_sequence) {
                return false;
            }
            packet[layout.ip_len + TCP_FLAGS] & FLAG_PSH != 0
        } else {
            false
        };
        self.verified = self.verified || is_checksum_right(first, layout);
        if !self.verified || !is_checksum_right(packet, layout) {
            return false;
        }
        self.count += 1;
        self.total_len += payload_len;
        self.next_sequence = self.next_sequence.wrapping_add(payload_len as u32);
        self.open = payload_len == self.segment_len && !pushed;
        true
    }
}

/// Room for the driver's header and the headers of a super-packet.
#[derive(Debug)]
pub struct Head {
    bytes: [u8; VNET_LEN + MAX_HEADER_LEN],
}

impl Default for Head {
    fn default() -> Head {
        Head { bytes: [0; VNET_LEN + MAX_HEADER_LEN] }
    }
}

impl Head {
    /// Writes the headers of a super-packet; returns their length.
    fn write(&mut self, group: &Group, layout: &Layout, first: &[u8], last: &[u8]) -> usize {
        let vnet = VnetHeader {
            partial_checksum: true,
            gso: if layout.protocol == TCP { Gso::Tcp } else { Gso::Udp },
            // All four come from packets of at most 65,535 bytes.
            header_len: layout.header_len as u16,
            segment_len: group.segment_len as u16,
            checksum_start: layout.ip_len as u16,
            checksum_offset: layout.checksum_offset() as u16,
        };
        self.bytes[..VNET_LEN].copy_from_slice(&vnet.encode(layout.ipv6));
        let header = &mut self.bytes[VNET_LEN..VNET_LEN + layout.header_len];
        header.copy_from_slice(&first[..layout.header_len]);
        let total_len = group.total_len as u16;
        let transport_len = total_len - layout.ip_len as u16;
        if layout.ipv6 {
            put(header, 4, transport_len.to_be_bytes());
        } else {
            put(header, 2, total_len.to_be_bytes());
            put(header, 10, [0, 0]);
            let checksum = checksum::finish(checksum::sum(&header[..layout.ip_len]));
            put(header, 10, checksum);
        }
        if layout.protocol == TCP {
            header[layout.ip_len + TCP_FLAGS] |= last[layout.ip_len + TCP_FLAGS] & FLAG_PSH;
        } else {
            put(header, layout.ip_len + 4, transport_len.to_be_bytes());
        }
        // The kernel adds the rest; it expects the folded, not inverted, sum of the pseudo-header.
        let addresses = &header[addresses(layout.ipv6)];
        let pseudo = checksum::pseudo_header(addresses, layout.protocol, transport_len);
        put(header, layout.ip_len + layout.checksum_offset(), checksum::fold(pseudo).to_ne_bytes());
        VNET_LEN + layout.header_len
    }
}

/// Whether a packet may be part of a super-packet at all.
fn may_join(layout: &Layout, packet: &[u8], join_udp: bool) -> bool {
    let transport = &packet[layout.ip_len..];
    let allowed = if layout.protocol == TCP {
        transport[TCP_FLAGS] & !FLAG_PSH == FLAG_ACK
    } else {
        // A UDP packet without checksum stays without.
        join_udp && be16(transport, layout.checksum_offset()) != 0
    };
    allowed && packet.len() > layout.header_len
}

/// Whether two packets have the same addresses, protocol and ports.
fn is_same_flow(layout: &Layout, packet: &[u8], other_layout: &Layout, other: &[u8]) -> bool {
    let addresses = addresses(layout.ipv6);
    let ports = layout.ip_len..layout.ip_len + 4;
    layout.ipv6 == other_layout.ipv6
        && layout.protocol == other_layout.protocol
        && packet[ports.clone()] == other[ports]
        && packet[addresses.clone()] == other[addresses]
}

/// Whether a split would give `packet` the IP header it has, as the member number `count` after `first`.
fn ip_continues(first: &[u8], packet: &[u8], layout: &Layout, count: u16) -> bool {
    if layout.ipv6 {
        // Version, class and flow label; then next header and hop limit.
        return first[..4] == packet[..4] && first[6..8] == packet[6..8];
    }
    // RFC 6864: with DF set the identification means nothing and may change.
    let id = (be16(first, 4) as u16).wrapping_add(count);
    let id_continues = packet[6] & IPV4_DF != 0 || id == be16(packet, 4) as u16;
    first[..2] == packet[..2] && first[6..10] == packet[6..10] && id_continues
}

/// Whether `packet` carries the bytes right after those before it, with all else in the TCP header the same.
fn tcp_continues(first: &[u8], packet: &[u8], layout: &Layout, next_sequence: u32) -> bool {
    let (first, packet) =
        (&first[layout.ip_len..layout.header_len], &packet[layout.ip_len..layout.header_len]);
    be32(packet, TCP_SEQUENCE) == next_sequence
        && first[8..13] == packet[8..13] // acknowledgement, header length
        && first[14..16] == packet[14..16] // window
        && first[18..] == packet[18..] // urgent pointer, options
}

/// Whether the checksums of the IPv4 header and of the transport are right.
fn is_checksum_right(packet: &[u8], layout: &Layout) -> bool {
    let (ip, transport) = packet.split_at(layout.ip_len);
    // A layout was found, so the packet is at most 65,535 bytes long.
    let pseudo =
        checksum::pseudo_header(&ip[addresses(layout.ipv6)], layout.protocol, transport.len() as u16);
    (layout.ipv6 || checksum::fold(checksum::sum(ip)) == 0xffff)
        && checksum::fold(pseudo + checksum::sum(transport)) == 0xffff
}

#[cfg(test)]
mod tests;
