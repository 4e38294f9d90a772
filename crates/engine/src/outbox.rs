//! Bounded queue of finished datagrams that wait for `poll_transmit`.
//!
//! The engines answer at once and forget: a full outbox drops the newest datagram and counts it, it never
//! grows. Every sender of control messages repeats on its own timer, so a dropped one costs time, not truth.
use crate::{SocketKey, Transmit};
use std::net::{IpAddr, SocketAddr};

/// Longest datagram the outbox takes: two REKEY_REQ fragments are the largest messages an engine makes
/// by itself (RFC 8200 §5: 1280 − 40 − 8 = 1232).
pub const SLOT_LEN: usize = 1232;

struct Slot {
    transmit: Transmit,
    bytes: Box<[u8; SLOT_LEN]>,
}

/// Ring of datagrams of a fixed number of slots.
pub struct Outbox {
    slots: Vec<Slot>,
    head: usize,
    queued: usize,
}

impl Outbox {
    /// A ring of `capacity` slots, all memory allotted now.
    pub fn new(capacity: usize) -> Outbox {
        let idle = Transmit {
            socket: SocketKey(0),
            destination: SocketAddr::from(([0, 0, 0, 0], 0)),
            source: None,
            len: 0,
        };
        let slots = (0..capacity).map(|_| Slot { transmit: idle, bytes: Box::new([0; SLOT_LEN]) }).collect();
        Outbox { slots, head: 0, queued: 0 }
    }

    /// Queues the datagram that `write` puts into the slot; `write` returns its length, `None` gives it up.
    /// Returns whether a datagram was queued.
    pub fn push(
        &mut self,
        socket: SocketKey,
        destination: SocketAddr,
        source: Option<IpAddr>,
        write: impl FnOnce(&mut [u8; SLOT_LEN]) -> Option<usize>,
    ) -> bool {
        if self.queued == self.slots.len() {
            return false;
        }
        let at = (self.head + self.queued) % self.slots.len();
        let slot = &mut self.slots[at];
        let Some(len) = write(&mut slot.bytes) else { return false };
        slot.transmit = Transmit { socket, destination, source, len };
        self.queued += 1;
        true
    }

    /// Copies the oldest datagram into `buffer`.
    pub fn pop(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        if self.queued == 0 {
            return None;
        }
        let slot = &self.slots[self.head];
        self.head = (self.head + 1) % self.slots.len();
        self.queued -= 1;
        buffer[..slot.transmit.len].copy_from_slice(&slot.bytes[..slot.transmit.len]);
        Some(slot.transmit)
    }
}

#[cfg(test)]
mod tests;
