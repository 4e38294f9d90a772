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
    /// When what has gathered unreported is due; the earliest of all reasons.
    security_due: Option<Time>,
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
            security_due: None,
        }
    }
}

impl Counters {
    /// Counts a security-relevant drop. Returns how many to report now: the first at once, then once a second
    /// with what has gathered since. What gathers after the last report waits for [`Counters::pop_security`].
    pub fn note_security(&mut self, reason: Reason, now: Time) -> Option<u32> {
        let (gathered, reported) = &mut self.security[reason.index()];
        *gathered = gathered.saturating_add(1);
        let due = *reported + SECURITY_PERIOD;
        if *reported != Time::ZERO && now < due {
            self.security_due = Some(self.security_due.map_or(due, |other| other.min(due)));
            return None;
        }
        *reported = now.max(Time::from_nanos(1));
        Some(std::mem::take(gathered))
    }

    /// When [`Counters::pop_security`] has something.
    pub(crate) fn security_due(&self) -> Option<Time> {
        self.security_due
    }

    /// A report that is due although nothing more of its reason came: a storm that ends is counted to its end.
    pub(crate) fn pop_security(&mut self, now: Time) -> Option<(Reason, u32)> {
        if self.security_due.is_none_or(|due| now < due) {
            return None;
        }
        let mut found = None;
        self.security_due = None;
        for reason in Reason::ALL {
            let (gathered, reported) = &mut self.security[reason.index()];
            let due = *reported + SECURITY_PERIOD;
            if *gathered > 0 && due <= now && found.is_none() {
                *reported = now;
                found = Some((*reason, std::mem::take(gathered)));
            } else if *gathered > 0 {
                self.security_due = Some(self.security_due.map_or(due, |other| other.min(due)));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;
