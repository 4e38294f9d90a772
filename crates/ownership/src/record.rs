//! The record of one session, and its fixed binary form.
//!
//! It holds what has to outlive a move and may be seen by whoever reads the store; secrets in it are sealed by the engine. Keys of
//! traffic, replay windows, counters and addresses of paths are not in it: they die with the owner, and the next one
//! starts with fresh ones.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jumpvpn_events::Time;

use crate::Incarnation;

mod codec;
mod moves;

pub use moves::Moves;

/// Names one write of a record. A gateway that does not know whether its write was applied recognises it by this id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub [u8; 16]);

/// Converts between the clock of the process and wall clock time, which is what a store keeps.
///
/// Only lifetimes of sessions depend on it. No right to act does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct WallClock {
    /// Wall clock time at [`Time::ZERO`], in milliseconds since 1970.
    pub zero_ms: u64,
}

impl WallClock {
    /// Wall clock time in milliseconds, cut; [`Time::MAX`] is `u64::MAX`.
    pub fn wall_ms(self, time: Time) -> u64 {
        if time == Time::MAX { u64::MAX } else { self.zero_ms.saturating_add(time.as_millis()) }
    }

    /// Time of the process. What lies before its clock began is [`Time::ZERO`], what lies beyond it [`Time::MAX`].
    pub fn time(self, wall_ms: u64) -> Time {
        let nanos = u128::from(wall_ms.saturating_sub(self.zero_ms)) * 1_000_000;
        u64::try_from(nanos).map_or(Time::MAX, Time::from_nanos)
    }
}

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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionRecord {
    /// Which session, for the gateway.
    pub handle: Handle,
    /// Which session, for people and keys: derived from the handshake, never changes.
    pub sid: [u8; 16],
    /// Public key of the client.
    pub peer: [u8; 32],
    /// Whether it lives.
    pub state: RecordState,
    /// Fencing number: rises by one each time the session gets another owner, or the same one with new keys.
    pub owner_epoch: u64,
    /// Who may act for the session. Filled in by whoever writes the record to the store.
    pub owner: Incarnation,
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
    /// When it is over at the latest, on the same clock.
    pub expires: Time,
    /// Whether it has ever changed its gateway: then its inner addresses need routes of their own.
    pub moved: bool,
    /// Its moves of late, as the owner knew them when it wrote this.
    pub moves: Moves,
    /// Which epoch of the session's keys `sealed` belongs to.
    pub key_epoch: u32,
    /// What the next owner needs to recognise the client; opaque here, sealed by the engine. At most
    /// [`SessionRecord::SEALED_MAX_LEN`] bytes.
    pub sealed: Vec<u8>,
}

impl SessionRecord {
    /// Most bytes of `sealed`: credentials of two key epochs (200), nonce and tag (28), and room for a later format. The binary
    /// form stays below 600 bytes with it.
    pub const SEALED_MAX_LEN: usize = 320;

    /// The inner addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        [self.inner_v4.map(IpAddr::V4), self.inner_v6.map(IpAddr::V6)].into_iter().flatten()
    }
}

/// Bytes that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRecord {
    /// Not as long as it says.
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
