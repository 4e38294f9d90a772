//! The record of one session, and its fixed binary form.
//!
//! It holds what has to outlive a move and may be seen by whoever reads the store. Keys, replay windows, counters
//! and addresses of paths are not in it: they die with the process, and the next owner starts with fresh ones.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jumpvpn_events::Time;

mod codec;

/// Number of a session inside one gateway or cluster: 48 bits, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(u64);

impl Handle {
    /// Largest handle: 48 bits.
    pub const MAX: Handle = Handle((1 << 48) - 1);

    /// The handle of that number; `None` above 48 bits.
    pub const fn new(number: u64) -> Option<Handle> {
        if number <= Handle::MAX.0 { Some(Handle(number)) } else { None }
    }

    /// The number, below 2^48.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// Whether a session lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordState {
    /// It lives.
    Live,
    /// It is over, for the reason of that number. Nothing follows.
    Terminated {
        /// Number of the reason code.
        reason_number: u16,
    },
}

/// One session as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// Which session, for the gateway.
    pub handle: Handle,
    /// Which session, for people and keys: derived from the handshake, never changes.
    pub sid: [u8; 16],
    /// Public key of the client.
    pub peer: [u8; 32],
    /// Whether it lives.
    pub state: RecordState,
    /// Fencing number of the owner.
    pub owner_epoch: u64,
    /// Node id of the owner.
    pub owner_node: u16,
    /// Number of the last committed fact the store knows of; 1 is the birth. Moves on one gateway are committed in
    /// its memory, so the owner may be ahead.
    pub version: u64,
    /// Inner IPv4 address of the client, unique among live sessions.
    pub inner_v4: Option<Ipv4Addr>,
    /// Inner IPv6 address of the client, unique among live sessions.
    pub inner_v6: Option<Ipv6Addr>,
    /// When it was born, on the clock of the process. A store that outlives the process converts to wall clock time
    /// when it writes and back when it reads.
    pub created: Time,
    /// When it is over at the latest, on the same clock; a tombstone is kept until then.
    pub expires: Time,
}

impl SessionRecord {
    /// The inner addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        [self.inner_v4.map(IpAddr::V4), self.inner_v6.map(IpAddr::V6)].into_iter().flatten()
    }
}

/// Bytes that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRecord {
    /// Not [`SessionRecord::LEN`] bytes.
    Length,
    /// A format this program does not know.
    Format,
    /// A field with a value it cannot have; the name of the field.
    Field(&'static str),
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadRecord::Length => f.write_str("a session record of the wrong length"),
            BadRecord::Format => f.write_str("a session record of an unknown format"),
            BadRecord::Field(name) => write!(f, "a session record with an impossible {name}"),
        }
    }
}

impl Error for BadRecord {}

#[cfg(test)]
mod tests;
