//! Cutting a super-packet into the packets it stands for.

use crate::checksum;
use crate::headers::{
    FLAG_CWR, FLAG_FIN, FLAG_PSH, IPV6_LEN, TCP, TCP_CHECKSUM, TCP_FLAGS, TCP_SEQUENCE, UDP, UDP_CHECKSUM,
    addresses, be16, be32, is_ipv6, put, transport_len,
};
use crate::vnet::{Gso, VnetHeader};

/// A super-packet being cut. The bytes stay with the caller and must be the same in each call.
#[derive(Debug, Clone)]
pub struct Split {
    ipv6: bool,
    protocol: u8,
    ip_len: usize,
    header_len: usize,
    segment_len: usize,
    /// Length of the super-packet.
    total_len: usize,
    /// Payload bytes handed out, from the end of the header.
    done_len: usize,
    /// Packets handed out.
    count: u16,
}

impl Split {
    /// Checks that `packet` is what `vnet` says; none when it makes no sense.
    pub fn new(vnet: &VnetHeader, packet: &[u8]) -> Option<Split> {
        let ipv6 = is_ipv6(packet)?;
        let protocol = match vnet.gso {
            Gso::Tcp => TCP,
            Gso::Udp => UDP,
            Gso::None => return None,
        };
        // `header_len` of the driver may be longer than the headers; where the transport header starts is exact.
        let ip_len = usize::from(vnet.checksum_start);
        let least_ip_len = if ipv6 { IPV6_LEN } else { usize::from(packet[0] & 0x0f) * 4 };
        let header_len = ip_len + transport_len(packet, ip_len, protocol)?;
        let sound = ip_len >= least_ip_len
            && least_ip_len >= 20
            && vnet.segment_len > 0
            && header_len < packet.len()
            && header_len + usize::from(vnet.segment_len) <= usize::from(u16::MAX);
        sound.then_some(Split {
            ipv6,
            protocol,
            ip_len,
            header_len,
            segment_len: usize::from(vnet.segment_len),
            total_len: packet.len(),
            done_len: 0,
            count: 0,
        })
    }

    /// Whether all packets were handed out.
    pub fn is_done(&self) -> bool {
        self.header_len + self.done_len >= self.total_len
    }

    /// Writes the next packet into `out`; returns its length, or none (and skips it) when `out` is too small.
    pub fn next_into(&mut self, packet: &[u8], out: &mut [u8]) -> Option<usize> {
        let start = self.header_len + self.done_len;
        let payload = &packet[start..(start + self.segment_len).min(self.total_len)];
        let len = self.header_len + payload.len();
        let out = out.get_mut(..len);
        let done = out.map(|out| {
            out[..self.header_len].copy_from_slice(&packet[..self.header_len]);
            out[self.header_len..].copy_from_slice(payload);
            self.patch_ip(out);
            self.patch_transport(out);
            len
        });
        self.done_len += payload.len();
        self.count = self.count.wrapping_add(1);
        done
    }

    fn patch_ip(&self, out: &mut [u8]) {
        // The lengths were checked to fit 16 bits when the split began.
        let len = out.len() as u16;
        if self.ipv6 {
            put(out, 4, (len - IPV6_LEN as u16).to_be_bytes());
            return;
        }
        let id = (be16(out, 4) as u16).wrapping_add(self.count);
        put(out, 2, len.to_be_bytes());
        put(out, 4, id.to_be_bytes());
        put(out, 10, [0, 0]);
        let header_len = usize::from(out[0] & 0x0f) * 4;
        let checksum = checksum::finish(checksum::sum(&out[..header_len]));
        put(out, 10, checksum);
    }

    fn patch_transport(&self, out: &mut [u8]) {
        let transport_len = (out.len() - self.ip_len) as u16;
        let last = self.header_len + self.done_len + (out.len() - self.header_len) >= self.total_len;
        let (ip, transport) = out.split_at_mut(self.ip_len);
        let field = if self.protocol == TCP {
            // The payload of a super-packet is shorter than 2^32.
            let sequence = be32(transport, TCP_SEQUENCE).wrapping_add(self.done_len as u32);
            put(transport, TCP_SEQUENCE, sequence.to_be_bytes());
            transport[TCP_FLAGS] &= !flags_to_clear(self.count == 0, last);
            TCP_CHECKSUM
        } else {
            put(transport, 4, transport_len.to_be_bytes());
            UDP_CHECKSUM
        };
        put(transport, field, [0, 0]);
        let pseudo = checksum::pseudo_header(&ip[addresses(self.ipv6)], self.protocol, transport_len);
        let mut checksum = checksum::finish(pseudo + checksum::sum(transport));
        if self.protocol == UDP && checksum == [0, 0] {
            checksum = [0xff, 0xff]; // RFC 768: zero means "no checksum"
        }
        put(transport, field, checksum);
    }
}

/// FIN and PSH belong to the last segment only, CWR to the first (Linux `tcp_gso_segment`).
fn flags_to_clear(first: bool, last: bool) -> u8 {
    let ending = if last { 0 } else { FLAG_FIN | FLAG_PSH };
    let beginning = if first { 0 } else { FLAG_CWR };
    ending | beginning
}

/// Completes the checksum of an ordinary packet whose field holds the sum of the pseudo-header only.
///
/// Returns false when the header points outside the packet.
pub fn complete_checksum(vnet: &VnetHeader, packet: &mut [u8]) -> bool {
    let field = usize::from(vnet.checksum_offset);
    let Some(transport) = packet.get_mut(usize::from(vnet.checksum_start)..) else { return false };
    if transport.len() < field + 2 {
        return false;
    }
    let mut checksum = checksum::finish(checksum::sum(transport));
    if field == UDP_CHECKSUM && checksum == [0, 0] {
        checksum = [0xff, 0xff]; // RFC 768: zero means "no checksum"
    }
    put(transport, field, checksum);
    true
}

#[cfg(test)]
mod tests;
