//! Counters of an engine instance.
use std::time::Duration;

use jumpvpn_events::{DropCounters, Reason, Time, Transitions};

/// Security events of one reason are reported at most once per second, with their count.
const SECURITY_PERIOD: Duration = Duration::from_secs(1);

/// How an attempt to change the owner of a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OwnershipChange {
    /// We took it from an owner that is dead: another gateway, or an earlier life of this one.
    Taken,
    /// Its owner gave it to us.
    Received,
    /// It was ours, and its client came back to us with new keys.
    Renewed,
    /// We gave it to another gateway.
    Released,
    /// It is not ours any more, and we did not give it.
    Lost,
    /// A client asked for a takeover, with the right credentials, and was refused.
    Refused,
}

impl OwnershipChange {
    /// Every result, in the order of the counters.
    pub const ALL: [OwnershipChange; 6] = [
        OwnershipChange::Taken,
        OwnershipChange::Received,
        OwnershipChange::Renewed,
        OwnershipChange::Released,
        OwnershipChange::Lost,
        OwnershipChange::Refused,
    ];

    /// Its name in metrics: the label `result` of `ownership_changes_total`.
    pub const fn name(self) -> &'static str {
        match self {
            OwnershipChange::Taken => "taken",
            OwnershipChange::Received => "received",
            OwnershipChange::Renewed => "renewed",
            OwnershipChange::Released => "released",
            OwnershipChange::Lost => "lost",
            OwnershipChange::Refused => "refused",
        }
    }
}

/// Changes of ownership by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnershipChanges([u64; OwnershipChange::ALL.len()]);

impl OwnershipChanges {
    /// Counts one.
    pub(crate) fn note(&mut self, change: OwnershipChange) {
        self.0[change as usize] += 1;
    }

    /// How many had this result.
    pub fn count(&self, change: OwnershipChange) -> u64 {
        self.0[change as usize]
    }
}

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
    /// Handshakes and takeovers that cost public-key work.
    pub handshakes: u64,
    /// Sessions that changed their owner.
    pub ownership: OwnershipChanges,
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
            ownership: OwnershipChanges::default(),
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
