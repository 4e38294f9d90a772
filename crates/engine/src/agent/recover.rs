//! No path works: bounded attempts to get back, and the end when the bounds are reached.
//!
//! Attempts follow the policy's pauses within its recovery window, close together at first; after it the session is
//! DEGRADED and is asked for at the slow pace of a dead candidate, until its time to live without a transport is over.
use std::time::Duration;

use jumpvpn_events::{BindingState, Reason, State, Time};
use jumpvpn_policy::{Health, recovery};
use jumpvpn_session::Trigger;

use super::Core;
use super::frames::KEY_HARD_LIMIT;
use super::live::{Live, Stage};
use super::path::{Path, Paths};
use super::probe::ProbeOrder;
use super::watch::Watch;

/// A birth that has not become ready in this time is given up: all its repetitions together take less.
const BIRTH_TTL: Duration = Duration::from_secs(30);
/// Pace of attempts behind the recovery window.
pub(super) const SLOW_PAUSE: Duration = Duration::from_secs(5);
/// A pause is shorter by up to this part of it, so that the clients of a gateway that went away do not ask in step.
const JITTER: u32 = 8;
/// Timers that fire later than this mean that we did not run: a busy machine wakes a daemon up to 5 ms late.
const STALL: Duration = Duration::from_millis(10);
/// Rounds of timers in one call: one that gives a jump up makes the watch over the old path due again, which may
/// decide on the next jump.
const TIMER_ROUNDS: usize = 4;

impl Live {
    /// From now on the bounds of a recovery hold, unless they do already.
    pub(super) fn begin_recovery(&mut self, now: Time) {
        if self.recovering_since.is_none() {
            self.recovering_since = Some(now);
            self.recovery_attempts = 0;
            self.next_recovery = Some(now);
        }
    }

    /// There is nowhere to go: try everything, within bounds.
    pub(super) fn start_recovery(&mut self, core: &mut Core, paths: &mut Paths, reason: Reason, now: Time) {
        self.begin_recovery(now);
        if self.state() == State::Recovering {
            self.transition(core, Trigger::JumpRefused, reason, now);
        }
        self.run_recovery(core, paths, now);
    }

    /// Links changed: the next attempt is due now.
    pub(super) fn hurry_recovery(&mut self, now: Time) {
        if self.recovering_since.is_some() {
            self.recovery_attempts = 0;
            self.next_recovery = Some(now);
        }
        self.hurry_takeover(now);
    }

    /// The binding works again, or a new one does.
    pub(super) fn end_recovery(&mut self) {
        self.recovering_since = None;
        self.next_recovery = None;
        self.degraded_since = None;
        self.disowned.clear();
        self.cancel_takeover();
    }

    /// The gateway that served us does so no more, although it, or another one, answers.
    pub(super) fn lose_gateway(&mut self, core: &mut Core, reason: Reason, now: Time) {
        self.watch = Watch::new(now);
        if self.state() == State::Attached {
            self.transition(core, Trigger::Suspect, reason, now);
        }
        self.recovering_since = Some(now);
        self.recovery_attempts = 0;
        self.next_recovery = Some(now + recovery::EARLY_PAUSE);
    }

    /// The active path answers again by itself.
    pub(super) fn recovered(&mut self, core: &mut Core, now: Time) {
        self.end_recovery();
        self.watch = Watch::new(now);
        if matches!(self.state(), State::Volatile | State::Degraded) {
            self.transition(core, Trigger::Recovered, Reason::PathRecovered, now);
        }
    }

    /// One attempt on every path, when due; the bounds, always.
    pub(super) fn run_recovery(&mut self, core: &mut Core, paths: &mut Paths, now: Time) {
        let Some(since) = self.recovering_since else { return };
        let policy = &core.config.policy;
        let slow = recovery::exhausted(policy, since, now);
        let degrade = slow || now.since(since) >= policy.volatility.volatile_to_degraded;
        if self.next_recovery.is_none_or(|due| due > now) {
            return;
        }
        let pause = if slow { SLOW_PAUSE } else { recovery::backoff(policy, self.recovery_attempts) };
        let share = u32::from(core.random::<1>()[0]);
        let pause = pause - pause * share / (256 * JITTER);
        self.recovery_attempts = self.recovery_attempts.saturating_add(1);
        self.next_recovery = Some(now + pause);
        if degrade && self.state() == State::Volatile {
            let reason = if slow { Reason::RecoveryExhausted } else { Reason::VolatileTimeout };
            self.transition(core, Trigger::Degraded, reason, now);
            self.degraded_since.get_or_insert(now);
        }
        if self.stage != Stage::Ready {
            return;
        }
        self.look_elsewhere(core, paths, now);
        let unasked = |path: &&Path| path.up && path.probe.is_none_or(|probe| probe.sent < now);
        let mut unasked: Vec<(Time, u32)> =
            paths.iter().filter(unasked).map(|path| (path.probed, path.key)).collect();
        // The budget may not do for all of them: who was asked longest ago comes first.
        unasked.sort_unstable();
        for (_, key) in unasked {
            self.send_probe(core, paths, key, ProbeOrder { urgent: true, rebind: false }, now);
        }
    }

    /// When the next attempt or bound is due.
    pub(super) fn next_recovery_due(&self) -> Option<Time> {
        self.next_recovery
    }

    /// Ends that time brings: lifetime, no transport for too long, keys too old.
    pub(super) fn check_ends(&mut self, core: &mut Core, now: Time) {
        let policy = &core.config.policy;
        let ttl = policy.session.transport_lost_ttl.min(self.limits.idle_ttl);
        let degraded =
            self.degraded_since.is_some_and(|since| now.since(since) >= policy.switching.degraded_timeout);
        if now.since(self.born) >= policy.session.max_lifetime.min(self.limits.lifetime) {
            self.finish(Reason::SessionExpired, false);
        } else if now.since(self.active.heard) >= ttl {
            self.finish(Reason::TransportLostTtl, false);
        } else if self.is_newborn() && now.since(self.born) >= BIRTH_TTL {
            self.finish(Reason::HandshakeTimeout, false);
        } else if now >= self.keys_end(core) {
            self.finish(Reason::KeyExpired, false);
        } else if degraded {
            self.finish(Reason::DegradedTimeout, false);
        }
    }

    /// Expired keys may still be renewed within the recovery window; then the session ends, explicitly.
    fn keys_end(&self, core: &Core) -> Time {
        self.epoch_since + KEY_HARD_LIMIT + core.config.policy.switching.recovery_window
    }

    /// When the earliest of those ends is.
    pub(super) fn next_end(&self, core: &Core) -> Time {
        let policy = &core.config.policy;
        let ttl = policy.session.transport_lost_ttl.min(self.limits.idle_ttl);
        let lifetime = policy.session.max_lifetime.min(self.limits.lifetime);
        let degraded = self.degraded_since.map(|since| since + policy.switching.degraded_timeout);
        let stage_end = if self.is_newborn() { self.born + BIRTH_TTL } else { self.active.heard + ttl };
        let end = (self.born + lifetime).min(stage_end).min(self.keys_end(core));
        degraded.map_or(end, |degraded| end.min(degraded))
    }

    /// The machine slept: measure everything anew, at once.
    pub(super) fn handle_resume(&mut self, core: &mut Core, paths: &mut Paths, now: Time) {
        self.watch = Watch::new(now);
        for path in paths.iter_mut().filter(|path| path.up) {
            path.ticket = None;
            path.probe = None;
            path.next_probe = now;
            if path.health == Health::Alive {
                path.health = Health::Unproven;
            }
        }
        core.last_use = now;
    }

    /// All timers of a live session, and those that they set to now.
    pub(super) fn handle_timeout(&mut self, core: &mut Core, paths: &mut Paths, now: Time) {
        let late = now.since(self.next_due(core, paths));
        if late >= STALL {
            self.watch.forgive(late, now);
        }
        for _ in 0..TIMER_ROUNDS {
            self.run_timers(core, paths, now);
            if self.end.is_some() || self.next_due(core, paths) > now {
                return;
            }
        }
    }

    fn run_timers(&mut self, core: &mut Core, paths: &mut Paths, now: Time) {
        self.check_ends(core, now);
        if self.end.is_some() {
            return;
        }
        if self.stage_retry <= now
            && let Stage::Confirming { .. } = self.stage
        {
            self.confirm(core, paths, now);
        }
        if self.stage_retry <= now && self.stage == Stage::Claiming {
            self.run_claim(core, paths, now);
        }
        self.run_takeover(core, paths, now);
        self.drop_stale(core, paths, now);
        self.run_rekey(core, paths, now);
        self.run_watch(core, paths, now);
        self.run_probes(core, paths, now);
        self.run_pending(core, paths, now);
        self.run_recovery(core, paths, now);
        self.run_listing(core, paths, now);
        if self.stage == Stage::Ready {
            self.run_choice(core, paths, now);
        }
    }

    /// Keys that only opened packets that were still on their way, or waited for the news of a request whose ticket is
    /// too old by now.
    fn drop_stale(&mut self, core: &mut Core, paths: &mut Paths, now: Time) {
        self.active.previous.take_if(|(_, until)| *until <= now);
        self.previous_control.take_if(|(_, _, until)| *until <= now);
        drop(self.lapsed.take_if(|(_, until)| *until <= now));
        let Some(retired) = self.retiring.take_if(|retiring| retiring.1 <= now) else { return };
        let key = retired.0.path;
        if key != self.active.path {
            self.set_binding(core, paths, key, BindingState::Gone, Reason::PathRetired, now);
        }
    }

    /// When [`Live::handle_timeout`] has something to do.
    pub(super) fn next_due(&self, core: &Core, paths: &Paths) -> Time {
        let confirming = matches!(self.stage, Stage::Confirming { .. } | Stage::Claiming);
        let due = [
            confirming.then_some(self.stage_retry),
            self.active.previous.as_ref().map(|(_, until)| *until),
            self.previous_control.as_ref().map(|(_, _, until)| *until),
            self.retiring.as_ref().map(|retiring| retiring.1),
            self.lapsed.as_ref().map(|(_, until)| *until),
            self.next_takeover_due(),
            self.next_rekey_due(),
            self.next_watch_due(core, paths),
            self.next_probe_due(paths),
            self.next_pending_due(),
            self.next_recovery_due(),
            self.next_listing_due(),
            (self.stage == Stage::Ready).then_some(self.next_choice),
        ];
        due.into_iter().flatten().fold(self.next_end(core), Time::min)
    }
}
