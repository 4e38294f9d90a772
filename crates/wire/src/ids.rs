//! The names that travel on the wire, each its own type so that none can be taken for another.

use core::fmt;

#[cfg(test)]
mod tests;

/// Connection id: chosen by the receiver of the packets that carry it; a new pair per binding and key epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cid(pub u64);

/// Path number: chosen by the client, never used twice in a session. 0 is the birth path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PathId(pub u32);

/// Session id: derived from the handshake, fixed for the life of the session, never sent in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 16]);

/// Route token: one AES block that leads a client's control message to its session without a table look-up for
/// forged ones. Opaque to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteToken(pub [u8; 16]);

/// Proof, given at birth, that a later [`NoSession`](crate::NoSession) is genuine. Secret until it is used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ResetToken(pub [u8; 16]);

impl fmt::Debug for ResetToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResetToken(..)")
    }
}

/// Server-side session number, 48 bits: 26 bits minute ‖ 22 bits serial. Never repeats while the reset key lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(u64);

impl Handle {
    /// Largest handle.
    pub const MAX: Self = Self((1 << 48) - 1);
    /// Bits of the serial inside one minute: 4 million births per minute and node.
    pub const SERIAL_BITS: u32 = 22;

    /// `None` when the value needs more than 48 bits.
    pub fn new(value: u64) -> Option<Self> {
        (value <= Self::MAX.0).then_some(Self(value))
    }

    /// From the minute (26 bits are kept) and the serial inside it (22 bits are kept).
    pub fn from_parts(minute: u32, serial: u32) -> Self {
        let minute = u64::from(minute) & ((1 << 26) - 1);
        let serial = u64::from(serial) & ((1 << Self::SERIAL_BITS) - 1);
        Self(minute << Self::SERIAL_BITS | serial)
    }

    /// As a number below 2^48.
    pub fn value(self) -> u64 {
        self.0
    }

    /// The six bytes that go into a route token.
    pub fn to_bytes(self) -> [u8; 6] {
        let [a, b, c, d, e, f, _, _] = self.0.to_le_bytes();
        [a, b, c, d, e, f]
    }

    /// From the six bytes of a route token.
    pub fn from_bytes(bytes: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = bytes;
        Self(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }
}

/// Reattach ticket, opaque to the client but for [`Ticket::server_cid`]: key id 1 ‖ reserved 3 ‖ issue time 4 ‖
/// server CID 8 ‖ MAC 16.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ticket(pub [u8; 32]);

impl Ticket {
    /// The CID the server will listen on for the binding this ticket may become. The client needs it to send
    /// DATA in the same flight as the REATTACH.
    pub fn server_cid(&self) -> Cid {
        let [_, _, _, _, _, _, _, _, a, b, c, d, e, f, g, h, ..] = self.0;
        Cid(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(..)")
    }
}
