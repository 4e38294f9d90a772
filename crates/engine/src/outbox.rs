//! Bounded queue of finished datagrams that wait for `poll_transmit`.
//!
//! The engines answer at once and forget: a full outbox drops the newest datagram and counts it, it never
//! grows. Every sender of control messages repeats on its own timer, so a dropped one costs time, not truth.
use crate::{SocketKey, Transmit};
use std::net::{IpAddr, SocketAddr};

/// Longest datagram the outbox takes: two REKEY_REQ fragments are the largest messages an engine makes
/// by itself (RFC 8200 §5: 1280 − 40 − 8 = 1232).
pub const SLOT_LEN: usize = 1232;

/// Ring of datagrams of a fixed number of slots.
pub struct Outbox {
    transmits: Vec<Transmit>,
    /// The datagrams, a slot each.
    bytes: Vec<u8>,
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
        Outbox { transmits: vec![idle; capacity], bytes: vec![0; capacity * SLOT_LEN], head: 0, queued: 0 }
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
        if self.queued == self.transmits.len() {
            return false;
        }
        let at = (self.head + self.queued) % self.transmits.len();
        let Some(slot) = self.bytes[at * SLOT_LEN..].first_chunk_mut() else { return false };
        let Some(len) = write(slot) else { return false };
        self.transmits[at] = Transmit { socket, destination, source, len };
        self.queued += 1;
        true
    }

    /// Copies the oldest datagram into `buffer`.
    pub fn pop(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        if self.queued == 0 {
            return None;
        }
        let transmit = self.transmits[self.head];
        buffer[..transmit.len].copy_from_slice(&self.bytes[self.head * SLOT_LEN..][..transmit.len]);
        self.queued -= 1;
        // An empty ring begins at the front again, where its memory is warm.
        self.head = if self.queued == 0 { 0 } else { (self.head + 1) % self.transmits.len() };
        Some(transmit)
    }
}

#[cfg(test)]
mod tests;
