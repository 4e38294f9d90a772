//! Refused datagrams: each is counted, and one that no honest peer sends becomes a security event.
use jumpvpn_events::{Event, EventKind, Reason, SessionLabel, Time};

use crate::Counters;
use crate::queue::EventQueue;

/// Where a session stands, for an event about it.
#[derive(Clone, Copy)]
pub(crate) struct Stamp {
    pub label: SessionLabel,
    pub step: u64,
    pub epoch: u64,
    pub version: u64,
}

/// Why a datagram is refused, and at which session if it got that far.
#[derive(Clone, Copy)]
pub(crate) struct Rejection {
    pub reason: Reason,
    pub stamp: Option<Stamp>,
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Rejection {
        Rejection { reason, stamp: None }
    }
}

impl Rejection {
    /// Reports it unless honest peers cause it: the first of its reason at once, the others once a second with their
    /// number. Whoever refuses the datagram for it counts that; one that was served may say something too.
    pub fn note(self, counters: &mut Counters, events: &mut EventQueue, now: Time) {
        if is_innocent(self.reason) {
            return;
        }
        if let Some(count) = counters.note_security(self.reason, now) {
            self.report(count, counters, events, now);
        }
    }

    fn report(self, count: u32, counters: &mut Counters, events: &mut EventQueue, now: Time) {
        let Rejection { reason, stamp } = self;
        let session = stamp.map(|stamp| stamp.label);
        let (step, epoch, version) =
            stamp.map_or((0, 0, 0), |stamp| (stamp.step, stamp.epoch, stamp.version));
        let kind = EventKind::Security { count };
        events.push(Event { at: now, session, step, epoch, version, reason, kind }, counters);
    }
}

/// Reports what has gathered of reasons that did not come again.
pub(crate) fn report_gathered(counters: &mut Counters, events: &mut EventQueue, now: Time) {
    while let Some((reason, count)) = counters.pop_security(now) {
        Rejection::from(reason).report(count, counters, events, now);
    }
}

/// What an honest peer sends in passing: a packet of the binding or the keys it has just left, one the tunnel does not
/// carry, a request a moment too early.
fn is_innocent(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::UnknownCid
            | Reason::BindingNotActive
            | Reason::StaleGeneration
            | Reason::InnerDestination
            | Reason::NotIp
            | Reason::TooBig
            | Reason::NotAttached
            | Reason::KeyExpired
            | Reason::PqRequired
            | Reason::CookieRequired
            | Reason::RebindWait
            | Reason::HandoffPending
            | Reason::GatewayDraining
    )
}
