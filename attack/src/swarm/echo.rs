//! The traffic of a client: ICMP echo requests to the gateway's inner address, so many under way at once. The kernel
//! behind the tunnel answers them, so every answer has passed the gateway twice.

use std::net::Ipv4Addr;
use std::time::Duration;

use jumpvpn_engine::{HEADROOM, TAILROOM};
use jumpvpn_events::Time;
use jumpvpn_tun::checksum;

/// Bytes of an inner packet: about the mean of internet traffic.
const PACKET_LEN: usize = 512;
/// Sealed.
pub(super) const SEALED_LEN: usize = HEADROOM + PACKET_LEN + TAILROOM;
/// Answers take a fraction of a millisecond; what is silent for so long is lost and sent anew.
pub(super) const LOST_AFTER: Duration = Duration::from_millis(50);
const IP_LEN: usize = 20;
const ICMP: u8 = 1;
const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;

/// What is under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Echo {
    pub(super) in_flight: u32,
    pub(super) sent: u16,
    /// The last answer, or the last time everything was given up.
    pub(super) moved: Time,
}

/// Writes a request with room for header and tag.
pub(super) fn request(from: Ipv4Addr, to: Ipv4Addr, number: u16) -> [u8; SEALED_LEN] {
    let mut buffer = [0; SEALED_LEN];
    let packet = &mut buffer[HEADROOM..][..PACKET_LEN];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&(PACKET_LEN as u16).to_be_bytes());
    packet[8] = 64;
    packet[9] = ICMP;
    packet[12..16].copy_from_slice(&from.octets());
    packet[16..20].copy_from_slice(&to.octets());
    let sum = checksum::finish(checksum::sum(&packet[..IP_LEN]));
    packet[10..12].copy_from_slice(&sum);
    let icmp = &mut packet[IP_LEN..];
    icmp[0] = ECHO_REQUEST;
    icmp[6..8].copy_from_slice(&number.to_be_bytes());
    let sum = checksum::finish(checksum::sum(icmp));
    icmp[2..4].copy_from_slice(&sum);
    buffer
}

/// Whether `packet` answers a request.
pub(super) fn is_reply(packet: &[u8]) -> bool {
    packet.get(9) == Some(&ICMP) && packet.get(IP_LEN) == Some(&ECHO_REPLY)
}
