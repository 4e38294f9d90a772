//! Ring of the inner packets that were sent last, for sending them again after a jump away from a dead path.
//!
//! What a dead path swallowed in its last round trip is sent once more under the new binding's keys and
//! counters, so that inner protocols need no retransmission timer of their own. Receivers may see duplicates;
//! TCP, QUIC and most UDP protocols take them. The policy switches it on or off. One ring serves a whole engine
//! instance, so its memory does not depend on the number of sessions.
use std::time::Duration;

use jumpvpn_events::Time;

/// Packets kept: at one packet per 5 ms this is 2.5 s; at 100,000 packets/s it is 5 ms, and the oldest give way.
const PACKET_COUNT: usize = 512;
/// Longest packet kept, one 1500-byte link's worth.
const PACKET_LEN: usize = 1500;
/// Packets older than this are not sent again, whatever the round trip: TCP has retransmitted by then
/// (RFC 6298 §2: the timer is at least 1 s, 200 ms in Linux) and a late UDP packet is useless.
const MAX_AGE: Duration = Duration::from_millis(500);

struct Entry {
    owner: u64,
    sent: Time,
    len: u16,
}

/// The ring. `owner` names the session inside the engine instance.
pub struct ResendRing {
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    next: usize,
}

/// Progress of sending one session's packets again.
#[derive(Clone, Copy, Debug)]
pub struct ResendCursor {
    owner: u64,
    not_before: Time,
    not_after: Time,
    remaining: usize,
}

impl ResendRing {
    /// An empty ring with all memory allotted (512 × 1500 bytes).
    pub fn new() -> ResendRing {
        let entries = (0..PACKET_COUNT).map(|_| Entry { owner: 0, sent: Time::ZERO, len: 0 }).collect();
        ResendRing { entries, bytes: vec![0; PACKET_COUNT * PACKET_LEN], next: 0 }
    }

    /// Keeps a copy of `packet`, over the oldest entry. Packets longer than 1500 bytes are not kept.
    pub fn keep(&mut self, owner: u64, packet: &[u8], now: Time) {
        let Ok(len) = u16::try_from(packet.len()) else { return };
        if packet.len() > PACKET_LEN {
            return;
        }
        let start = self.next * PACKET_LEN;
        self.bytes[start..start + packet.len()].copy_from_slice(packet);
        self.entries[self.next] = Entry { owner, sent: now, len };
        self.next = (self.next + 1) % PACKET_COUNT;
    }

    /// A cursor over what `owner` sent from `since` (at most 500 ms ago) to `now`.
    pub fn cursor(&self, owner: u64, since: Time, now: Time) -> ResendCursor {
        ResendCursor { owner, not_before: since.max(now - MAX_AGE), not_after: now, remaining: PACKET_COUNT }
    }

    /// Copies the next packet under the cursor to the front of `out`, oldest first; `None` at the end.
    pub fn advance(&self, cursor: &mut ResendCursor, out: &mut [u8]) -> Option<usize> {
        while cursor.remaining > 0 {
            let at = (self.next + PACKET_COUNT - cursor.remaining) % PACKET_COUNT;
            cursor.remaining -= 1;
            let entry = &self.entries[at];
            let wanted = entry.len > 0
                && entry.owner == cursor.owner
                && entry.sent >= cursor.not_before
                && entry.sent <= cursor.not_after;
            if wanted {
                let len = usize::from(entry.len);
                out[..len].copy_from_slice(&self.bytes[at * PACKET_LEN..at * PACKET_LEN + len]);
                return Some(len);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
