//! The values that cross the border between an engine and the shell that drives it.
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use jumpvpn_events::Reason;

/// Bytes the caller leaves free in front of an inner packet: the DATA header (docs/protocol.md, DATA).
pub const HEADROOM: usize = jumpvpn_wire::DATA_HEADER_LEN;
/// Bytes the caller leaves free behind an inner packet: the AEAD tag.
pub const TAILROOM: usize = jumpvpn_wire::TAG_LEN;
/// Longest datagram `poll_transmit` writes: control messages and DATA with control frames fit the IPv6
/// minimum MTU (RFC 8200 §5: 1280 − 40 − 8 = 1232); a packet that is sent again may be as long as a
/// 1500-byte link carries. The caller's buffer must be at least this long.
pub const TRANSMIT_BUFFER_LEN: usize = 2048;

/// Names one socket of the shell. The shell never reuses a key while an engine may still hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketKey(pub u32);

/// What became of a received datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// An inner IP packet stands at this range of the datagram buffer: write it to the TUN device.
    Packet(Range<usize>),
    /// The engine consumed it; outputs may be waiting in the `poll_*` functions.
    Consumed,
    /// It was dropped, without effect on any session. The reason is already counted.
    Dropped(Reason),
}

/// Where a datagram goes: a sealed inner packet (`handle_packet`) or an engine message (`poll_transmit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Socket to send from.
    pub socket: SocketKey,
    /// Outer destination.
    pub destination: SocketAddr,
    /// Outer source address to use when the socket has several (gateway on a wildcard address).
    pub source: Option<IpAddr>,
    /// The datagram is the first `len` bytes of the buffer.
    pub len: usize,
}
