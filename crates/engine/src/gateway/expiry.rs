//! Timers of the sessions, state transitions, and the end of a session.
use std::time::Duration;

use jumpvpn_events::{BindingState, EventKind, Reason, State, Time};
use jumpvpn_ownership::{Answer, RecordState};
use jumpvpn_session::Trigger;
use jumpvpn_wire::Frame;

use super::Gateway;
use super::birth::session_event;
use super::data::KEY_HARD_LIMIT;
use super::rekey::UNCONFIRMED_TTL;
use super::session::Session;
use crate::rejection::report_gathered;
use jumpvpn_policy::{Policy, PostQuantum};

/// Reports of silence sent in a row: at 25, 50, 100, 200, 400 ms … the client has switched or is gone.
const SILENCE_REPORTS: u32 = 5;

/// Copies of CLOSE: the session's keys are gone afterwards, nothing could be repeated (docs/protocol.md).
pub(super) const CLOSE_COPIES: usize = 3;

/// How long a session's timers wait while the right to act is missing: short beside the 15 s and more after which
/// they end anything.
const FENCE_PAUSE: Duration = Duration::from_millis(250);

impl Gateway {
    /// When [`Gateway::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Time> {
        let timers = [
            self.table.wheel.next_due(),
            self.pending.next_expiry(),
            self.takeovers.next_expiry(),
            self.next_advice(),
            self.core.counters.security_due(),
        ];
        timers.into_iter().flatten().min()
    }

    /// Timers. Call it after all inputs are drained, so that a late wake-up does not look like silence.
    pub fn handle_timeout(&mut self, now: Time) {
        self.expire_pending(now);
        self.expire_takeovers(now);
        self.continue_advice(now);
        report_gathered(&mut self.core.counters, &mut self.core.events, now);
        while let Some(slot) = self.table.wheel.pop_due(now) {
            self.session_due(slot, now);
        }
    }

    fn session_due(&mut self, slot: u32, now: Time) {
        if !self.core.fence.allows(now) {
            // Without the right to act nothing is said and nothing ends; all of it is due when the right is back.
            return self.table.wheel.set(slot, now + FENCE_PAUSE);
        }
        let Some(session) = self.table.session(slot) else { return };
        if session.frozen {
            // Nothing ends it but the store's answer, or the end of the right to act.
            return self.table.wheel.set(slot, now + FENCE_PAUSE);
        }
        if let Some(reason) = end_reason(session, &self.core.policy, now) {
            return self.close(slot, reason, now);
        }
        let heard = session.last_heard();
        if let Some(next) = session.next.as_mut().filter(|next| next.until <= now) {
            if next.was_refused(heard) {
                self.drop_next_epoch(slot);
            } else {
                next.until = now + UNCONFIRMED_TTL;
            }
        }
        self.drop_stale_channels(slot, now);
        self.watch_silence(slot, now);
        self.arm(slot, now);
    }

    fn drop_stale_channels(&mut self, slot: u32, now: Time) {
        let Some(session) = self.table.session(slot) else { return };
        let previous = session.previous.take_if(|previous| previous.until <= now);
        let retired = session.retiring.take_if(|retiring| retiring.until <= now);
        let gone = retired.as_ref().map(|retiring| {
            let kind = EventKind::PathState { path: retiring.label, binding: BindingState::Gone, rtt: None };
            session_event(session, Reason::PathRetired, kind, now)
        });
        let cids = [previous.map(|previous| previous.local_cid), retired.map(|retiring| retiring.local_cid)];
        cids.into_iter().flatten().for_each(|cid| self.table.release_cid(cid));
        gone.into_iter().for_each(|event| self.core.event(event));
    }

    /// While the client's packets flowed and stop, it is told: it may be sending into a one-way black hole.
    fn watch_silence(&mut self, slot: u32, now: Time) {
        let policy = &self.core.policy;
        let Some(session) = self.table.session(slot) else { return };
        if next_report(session, policy).is_some_and(|due| due <= now) {
            session.binding.silence_reports += 1;
            self.send_heartbeat(slot, now);
        }
        let Some(session) = self.table.session(slot) else { return };
        let silent = now.since(session.last_heard());
        if session.machine.state() == State::Attached && silent >= volatile_after(&self.core.policy) {
            self.transition(slot, Trigger::Suspect, Reason::PathSilent, now);
        }
    }

    /// The client was heard again.
    pub(super) fn note_recovered(&mut self, slot: u32, now: Time) {
        let Some(session) = self.table.session(slot) else { return };
        if session.machine.state() == State::Volatile {
            self.transition(slot, Trigger::Recovered, Reason::PathRecovered, now);
            self.arm(slot, now);
        }
    }

    /// Sets the session's timer to the earliest thing that can happen to it.
    pub(super) fn arm(&mut self, slot: u32, now: Time) {
        let policy = &self.core.policy;
        let Some(session) = self.table.session(slot) else { return };
        let due = next_due(session, policy, now);
        session.armed = due;
        self.table.wheel.set(slot, due);
    }

    /// One step of the session's state machine, counted and evented.
    pub(super) fn transition(&mut self, slot: u32, trigger: Trigger, reason: Reason, now: Time) {
        let Some(session) = self.table.session(slot) else { return };
        match session.machine.apply(trigger) {
            Ok(step) => {
                let kind = EventKind::StateChange { from: step.from, to: step.to };
                let event = session_event(session, reason, kind, now);
                self.core.counters.transitions.record(step.from, step.to);
                self.core.event(event);
            }
            Err(_) => self.core.counters.drops.record(Reason::StateForbidden),
        }
    }

    /// Ends a session from this side: the client is told, on its binding and sealed.
    pub(super) fn close(&mut self, slot: u32, reason: Reason, now: Time) {
        self.close_with(slot, reason, CLOSE_COPIES, now);
    }

    /// The same, with so many copies of the message.
    pub(super) fn close_with(&mut self, slot: u32, reason: Reason, copies: usize, now: Time) {
        if !self.core.fence.allows(now) {
            return self.core.counters.drops.record(Reason::FenceExpired);
        }
        let Some(session) = self.table.session(slot) else { return };
        if session.frozen {
            return self.end_later(slot, reason, now);
        }
        self.end(slot, reason, copies, now);
    }

    /// Ends a session, with so many words to its client. Where others could go on with it, what the store does not have is not
    /// said: nothing passes from here on, and the rest follows when the store has answered. One that is in the way of its
    /// successor goes at once: its client has begun anew.
    pub(super) fn end(&mut self, slot: u32, reason: Reason, copies: usize, now: Time) {
        if self.core.cell.is_none() || reason == Reason::Superseded {
            self.say_close(slot, reason, copies);
            return self.terminate(slot, reason, now);
        }
        let Some(session) = self.table.session(slot) else { return };
        (session.frozen, session.end_wanted) = (true, Some(reason));
        let (handle, is_written) = (session.handle, session.writing.is_some());
        self.end_taking(handle, reason);
        if !is_written {
            self.write_close(slot, reason, copies);
        }
    }

    fn say_close(&mut self, slot: u32, reason: Reason, copies: usize) {
        let Some(session) = self.table.session(slot) else { return };
        let frame = Frame::Close { reason: reason.number(), version: session.version + 1 };
        for _ in 0..copies {
            self.send_frames(slot, &[frame]);
        }
    }

    /// The store's answer to the end of a session.
    pub(super) fn close_answered(
        &mut self,
        slot: u32,
        answer: &Answer,
        (reason, copies): (Reason, usize),
        now: Time,
    ) {
        let is_over = match answer {
            Answer::Committed { .. } => true,
            Answer::Conflict { current, .. } => {
                current.as_ref().is_none_or(|current| current.1.state != RecordState::Live)
            }
            Answer::Refused { reason, .. } if *reason != Reason::FenceExpired => false,
            // Not known, also when the right to act is over before the store has answered: frozen until all is dropped.
            _ => return,
        };
        if !is_over {
            return self.lose(slot, Reason::OwnershipLost, now);
        }
        if let Some(session) = self.table.session(slot) {
            (session.writing, session.frozen) = (None, false);
        }
        if self.core.fence.allows(now) {
            self.say_close(slot, reason, copies);
        }
        self.conclude(slot, reason, now);
    }

    /// Perhaps the session is another gateway's already: it ends when the store says that it is not. One that is in the way of its
    /// successor goes at once, without a word; its record is the store's business.
    fn end_later(&mut self, slot: u32, reason: Reason, now: Time) {
        if reason == Reason::Superseded {
            return self.lose(slot, reason, now);
        }
        if let Some(session) = self.table.session(slot) {
            session.end_wanted = Some(reason);
        }
    }

    fn terminate(&mut self, slot: u32, reason: Reason, now: Time) {
        let Some(session) = self.conclude(slot, reason, now) else { return };
        self.end_taking(session.handle, reason);
        self.write_end(&session, reason);
    }

    /// TERMINATED: keys erased, table entries gone, the end on record.
    fn conclude(&mut self, slot: u32, reason: Reason, now: Time) -> Option<Box<Session>> {
        let session = self.table.session(slot)?;
        session.version += 1;
        self.transition(slot, Trigger::Terminate, reason, now);
        let session = self.take_out(slot)?;
        let kind = EventKind::Termination {
            committed: true,
            lifetime: now.since(session.born),
            switches: session.switches,
        };
        let event = session_event(&session, reason, kind, now);
        self.core.event(event);
        Some(session)
    }
}

impl Session {
    /// Whether user packets still wait for the first hybrid key epoch.
    pub(super) fn pq_pending(&self) -> bool {
        self.pq_required && self.epoch.context.n == 0
    }
}

/// Why the session ends now, if it does.
fn end_reason(session: &Session, policy: &Policy, now: Time) -> Option<Reason> {
    if now >= session.expires {
        return Some(Reason::SessionExpired);
    }
    if now.since(session.last_heard()) >= policy.session.transport_lost_ttl {
        return Some(Reason::TransportLostTtl);
    }
    (now >= key_end(session, policy)).then_some(Reason::KeyExpired)
}

/// When keys that nobody renews end the session.
pub(super) fn key_end(session: &Session, policy: &Policy) -> Time {
    session.epoch.since + KEY_HARD_LIMIT + policy.switching.recovery_window
}

fn next_due(session: &Session, policy: &Policy, now: Time) -> Time {
    let heard = session.last_heard();
    let mut due =
        session.expires.min(heard + policy.session.transport_lost_ttl).min(key_end(session, policy));
    if session.machine.state() == State::Attached {
        due = due.min(heard + volatile_after(policy));
    }
    let others = [
        next_report(session, policy),
        session.next.as_ref().map(|next| next.until),
        session.previous.as_ref().map(|previous| previous.until),
        session.retiring.as_ref().map(|retiring| retiring.until),
    ];
    others.into_iter().flatten().fold(due, Time::min).max(now)
}

/// When the client is told next that we do not hear it; `None` while no stream is known or enough was said.
fn next_report(session: &Session, policy: &Policy) -> Option<Time> {
    let detection = &policy.volatility.detection;
    let reports = session.binding.silence_reports;
    if reports >= SILENCE_REPORTS {
        return None;
    }
    let tolerance = session.binding.spacing.tolerance(detection.min_silence, detection.max_silence)?;
    Some(session.binding.heard + tolerance * (1 << reports))
}

/// Silence after which our side calls the session VOLATILE: an idle client is heard once per keep-alive.
fn volatile_after(policy: &Policy) -> Duration {
    keepalive(policy) + policy.volatility.heartbeat_volatile
}

/// Interval at which an idle client is heard: three chances within the time to live without a transport.
pub(crate) fn keepalive(policy: &Policy) -> Duration {
    policy.session.keepalive_idle.min(policy.session.transport_lost_ttl / 3)
}

/// Whether user packets wait for the hybrid key epoch under this policy.
pub(super) fn pq_required(policy: &Policy) -> bool {
    policy.security.pq == PostQuantum::Required
}
