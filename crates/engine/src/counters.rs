//! Counters of an engine instance.
use std::time::Duration;

use jumpvpn_events::{DropCounters, Reason, Time, Transitions};

/// Security events of one reason are reported at most once per second, with their count.
const SECURITY_PERIOD: Duration = Duration::from_secs(1);

/// What an engine counts. Fixed size, whatever happens.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Dropped datagrams and packets, by reason.
    pub drops: DropCounters,
    /// Transitions of session state machines.
    pub transitions: Transitions,
    /// Inner packets sealed and opened.
    pub packets_out: u64,
    /// Inner packets opened and delivered.
    pub packets_in: u64,
    /// Bytes of inner packets sealed.
    pub bytes_out: u64,
    /// Bytes of inner packets delivered.
    pub bytes_in: u64,
    /// Handshakes that cost public-key work.
    pub handshakes: u64,
    security: [(u32, Time); Reason::COUNT],
}

impl Default for Counters {
    fn default() -> Counters {
        Counters {
            drops: DropCounters::default(),
            transitions: Transitions::default(),
            packets_out: 0,
            packets_in: 0,
            bytes_out: 0,
            bytes_in: 0,
            handshakes: 0,
            security: [(0, Time::ZERO); Reason::COUNT],
        }
    }
}

impl Counters {
    /// Counts a security-relevant drop. Returns how many to report now: the first at once, then once a second
    /// with what has gathered since.
    pub fn note_security(&mut self, reason: Reason, now: Time) -> Option<u32> {
        let (gathered, reported) = &mut self.security[reason.index()];
        *gathered = gathered.saturating_add(1);
        if *reported != Time::ZERO && now.since(*reported) < SECURITY_PERIOD {
            return None;
        }
        *reported = now.max(Time::from_nanos(1));
        Some(std::mem::take(gathered))
    }
}

#[cfg(test)]
mod tests;
