//! The addresses of an inner IP packet.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jumpvpn_events::Reason;

/// Source and destination of an IPv4 (RFC 791) or IPv6 (RFC 8200) packet whose header is complete and whose
/// length field agrees with the buffer (IPv4: not longer than it; IPv6 likewise).
///
/// # Errors
/// [`Reason::NotIp`] for anything else.
pub fn addresses(packet: &[u8]) -> Result<(IpAddr, IpAddr), Reason> {
    match packet.first().map(|byte| byte >> 4) {
        Some(4) => ipv4(packet),
        Some(6) => ipv6(packet),
        _ => Err(Reason::NotIp),
    }
}

/// Shortest IPv4 header, RFC 791 §3.1.
const IPV4_HEADER_LEN: usize = 20;
/// IPv6 header, RFC 8200 §3.
const IPV6_HEADER_LEN: usize = 40;

fn ipv4(packet: &[u8]) -> Result<(IpAddr, IpAddr), Reason> {
    let header = packet.get(..IPV4_HEADER_LEN).ok_or(Reason::NotIp)?;
    let total_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if total_len < IPV4_HEADER_LEN || total_len > packet.len() {
        return Err(Reason::NotIp);
    }
    let at =
        |start: usize| Ipv4Addr::new(header[start], header[start + 1], header[start + 2], header[start + 3]);
    Ok((at(12).into(), at(16).into()))
}

fn ipv6(packet: &[u8]) -> Result<(IpAddr, IpAddr), Reason> {
    let header = packet.get(..IPV6_HEADER_LEN).ok_or(Reason::NotIp)?;
    let payload_len = usize::from(u16::from_be_bytes([header[4], header[5]]));
    if IPV6_HEADER_LEN + payload_len > packet.len() {
        return Err(Reason::NotIp);
    }
    let at = |start: usize| {
        let mut octets = [0u8; 16];
        octets.copy_from_slice(&header[start..start + 16]);
        Ipv6Addr::from(octets)
    };
    Ok((at(8).into(), at(24).into()))
}

#[cfg(test)]
mod tests;
