//! Moving the binding: from a verdict of the policy to a committed jump.
//!
//! A jump to a *warm* path is one message; a cold one asks for a ticket first. While the old path works, user
//! packets stay on it until the gateway has committed; when it is dead they leave by the new one at once, behind
//! the request.
use std::time::Duration;

use jumpvpn_events::{EventKind, Reason, State, Time};
use jumpvpn_policy::{Cause, Health, PathView, Verdict, choose};
use jumpvpn_session::{AeadKey, BindingContext, Side, Trigger, seal_control};
use jumpvpn_wire::{
    CONTROL_HEADER_LEN, ControlHeader, Kind, ObservedAddress, PathId, Quality, ReattachPayload, TAG_LEN,
    TransportClass,
};

use super::Core;
use super::live::{Binding, Channel, Live};
use super::path::{HeldTicket, Path, Paths};
use super::probe::ProbeOrder;
use crate::leaves_a_dead_path;
use crate::rtt::ArrivalSpacing;

/// REATTACH without a DATA packet behind it.
const REATTACH_LEN: usize = CONTROL_HEADER_LEN + ReattachPayload::LEN + TAG_LEN;
/// A request is repeated after max(1.5 × RTT, 50 ms), then doubling, at most five times in all
/// (docs/protocol.md, warm switch).
const RETRY_MIN: Duration = Duration::from_millis(50);
const ATTEMPT_COUNT: u32 = 5;
/// A jump that has found no ticket and no answer in this time is given up: five round trips of the slowest path
/// people work over.
pub(super) const INTENT_TTL: Duration = Duration::from_secs(5);
/// A candidate's answer proves that it works for two of its round trips, at least for this long: ten packets of a
/// call at 10 ms.
const FRESH_ANSWER: Duration = Duration::from_millis(100);
/// Fresh tickets a jump may ask for after stale ones before its target is given up.
pub(super) const TICKET_TRIES: u32 = 3;
/// Sent this much after the hold, so that it is over at the gateway in spite of a little jitter.
pub(super) const HOLD_MARGIN: Duration = Duration::from_millis(1);
/// The question "is there something better?" is asked this often while the tunnel is in use.
const CHOICE_INTERVAL: Duration = Duration::from_millis(500);

/// A jump that is decided and waits for a ticket, or for the end of a hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intent {
    pub to: u32,
    pub reason: Reason,
    pub detect: Duration,
    pub rebind: bool,
    pub tries: u32,
    /// When the probe was sent that showed a new address (rebinding), else when it was decided.
    pub asked: Time,
    /// Given up after this time: no jump waits for ever.
    pub deadline: Time,
    /// Not before this time (rebinding).
    pub not_before: Option<Time>,
}

impl Intent {
    /// A jump to `to`, decided now.
    pub fn new(to: u32, reason: Reason, detect: Duration, now: Time) -> Intent {
        Intent {
            to,
            reason,
            detect,
            rebind: false,
            tries: 0,
            asked: now,
            deadline: now + INTENT_TTL,
            not_before: None,
        }
    }

    /// Whether the path left is taken for dead.
    pub fn leaves_a_dead_path(&self) -> bool {
        leaves_a_dead_path(self.reason) && !self.rebind
    }
}

/// A request that is under way.
pub(crate) struct PendingJump {
    pub binding: Binding,
    pub intent: Intent,
    pub cseq: u64,
    /// User packets leave by the new binding already.
    pub early: bool,
    /// The gateway saw the request, or a copy of it, come from another address than it names.
    pub mismatched: bool,
    datagram: [u8; REATTACH_LEN],
    pub sent: Time,
    retry_at: Time,
    pub attempts: u32,
}

impl Live {
    /// What the policy sees of the active path and of the others.
    pub(super) fn views(&self, paths: &Paths, now: Time) -> (Option<PathView>, Vec<PathView>) {
        let (version, epoch, age) = (self.version, self.epoch.owner_epoch, self.limits.ticket_age);
        let view = |path: &Path| path.view(version, epoch, age, now);
        let active = paths.by_key(self.active.path).map(view);
        let others = paths.iter().filter(|path| path.key != self.active.path).map(view).collect();
        (active, others)
    }

    /// Asks the policy and carries its verdict out. `detect` is the time it took to notice the cause.
    pub(super) fn decide(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        cause: Cause,
        detect: Duration,
        now: Time,
    ) {
        let (active, others) = self.views(paths, now);
        let policy = &core.config.policy;
        match choose(policy, now, active.as_ref(), &others, cause, &self.history, self.pinned) {
            Verdict::Stay(_) => {}
            Verdict::Switch { to, reason } => {
                let intent = Intent::new(to, reason, detect, now);
                self.start_jump(core, paths, intent, now);
            }
            Verdict::Deny { reason, retry_after } => {
                self.denied(core, reason, retry_after, now);
                if matches!(cause, Cause::DeadPath(_)) {
                    self.start_recovery(core, paths, reason, now);
                }
            }
            Verdict::Degrade(reason) => self.start_recovery(core, paths, reason, now),
            Verdict::Terminate(reason) => {
                self.say_close(core, paths, reason);
                self.finish(reason, false);
            }
        }
    }

    pub(super) fn denied(&mut self, core: &mut Core, reason: Reason, retry_after: Duration, now: Time) {
        self.history.record_denial(now);
        let observed = u64::from(self.history.switches_last_minute(now));
        let threshold = u64::from(core.config.policy.switching.max_switches_per_min);
        self.event(core, reason, EventKind::Policy { threshold, observed }, now);
        self.next_choice = now + retry_after.max(CHOICE_INTERVAL);
        self.denied_until = Some(now + retry_after);
        if matches!(self.state(), State::Volatile | State::Recovering) {
            self.transition(core, Trigger::Degraded, reason, now);
            self.degraded_since.get_or_insert(now);
        }
    }

    /// Begins a jump, warm or cold.
    pub(super) fn start_jump(&mut self, core: &mut Core, paths: &mut Paths, intent: Intent, now: Time) {
        if self.pending.as_ref().is_some_and(|pending| pending.intent.to == intent.to) {
            return;
        }
        if self.state() != State::Recovering {
            self.transition(core, Trigger::JumpStarted, intent.reason, now);
        }
        // A jump and a rekey never overlap: the rekey starts over afterwards.
        self.abandon_rekey(now);
        self.pending = None;
        self.intent = Some(intent);
        self.try_reattach(core, paths, now);
    }

    /// Sends the request if a ticket is at hand and no hold runs, else asks for a ticket.
    pub(super) fn try_reattach(&mut self, core: &mut Core, paths: &mut Paths, now: Time) {
        let Some(intent) = &mut self.intent else { return };
        if intent.not_before.is_some_and(|not_before| now < not_before) {
            return;
        }
        intent.not_before = None;
        let intent = *intent;
        let (version, epoch) = (self.version, self.epoch.owner_epoch);
        let Some(path) = paths.by_key(intent.to).filter(|path| path.up) else {
            return self.target_failed(core, paths, intent.to, now);
        };
        let age = self.ticket_age(&intent, path);
        match path.warm_ticket(version, epoch, age, now) {
            Some(held) => self.send_reattach(core, paths, intent, held, now),
            None if path.probe.is_some() => {}
            None => {
                let order = ProbeOrder { urgent: true, rebind: intent.rebind };
                self.send_probe(core, paths, intent.to, order, now);
            }
        }
    }

    /// How old a ticket may be for this jump. Away from a dead path every ticket that the gateway still takes will
    /// do. A jump that could as well stay waits for a fresh answer: the target may have died since the last one, and
    /// the round trip costs nothing, because the packets stay on the old path until the commit.
    fn ticket_age(&self, intent: &Intent, path: &Path) -> Duration {
        if intent.leaves_a_dead_path() || intent.rebind {
            return self.limits.ticket_age;
        }
        let rtt = path.rtt.smoothed_or_initial();
        (rtt + (rtt * 2).max(FRESH_ANSWER)).min(self.limits.ticket_age)
    }

    fn send_reattach(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        intent: Intent,
        held: HeldTicket,
        now: Time,
    ) {
        let cseq = self.next_cseq();
        let client_nonce = core.random();
        let Some(path) = paths.by_key_mut(intent.to) else { return };
        let Some(path_id) = path.path_id else { return };
        // Under a token that nobody has seen yet: that of the probes may have been captured, and its bucket be empty.
        path.token = self.tokens.pop().or(path.token);
        let path = &*path;
        let token = path.token.unwrap_or(self.last_token);
        let payload = proof(&intent, &held, path, path_id, client_nonce, now);
        let header = ControlHeader {
            kind: Kind::Reattach,
            token_config: self.token_config,
            epoch: self.epoch.n as u16,
            token,
            cseq,
        };
        let mut datagram = [0; REATTACH_LEN];
        let key = &self.control.c2s;
        if compose_control(&mut datagram, &header, &payload.encode(), key, REATTACH_LEN).is_none() {
            core.counters.drops.record(Reason::Internal);
            return;
        }
        let context = BindingContext { cseq, path_id, client_nonce, ticket: Some(held.ticket) };
        let traffic = self.secret.binding(&self.epoch, &context, Side::Client);
        let binding = Binding {
            path: intent.to,
            path_id,
            label: path.label,
            context,
            channel: Channel { traffic, local_cid: held.cid, peer_cid: held.ticket.server_cid() },
            previous: None,
            spacing: ArrivalSpacing::default(),
            heard: now,
        };
        let early = intent.leaves_a_dead_path();
        let retry_at = now + retry_pause(path);
        let (socket, remote) = (path.link.socket, path.remote);
        core.send(socket, remote, |slot| super::birth::copy_into(slot, &datagram));
        self.intent = None;
        self.pending = Some(Box::new(PendingJump {
            binding,
            intent,
            cseq,
            early,
            mismatched: false,
            datagram,
            sent: now,
            retry_at,
            attempts: 1,
        }));
        if early {
            self.resend_recent(core, paths, now);
        }
    }

    /// What the dead path may have swallowed is sent again under the new binding.
    fn resend_recent(&self, core: &mut Core, paths: &Paths, now: Time) {
        let rtt =
            paths.by_key(self.active.path).map_or(Duration::ZERO, |path| path.rtt.smoothed_or_initial());
        let since = self.watch.last_acknowledged().unwrap_or(self.active.heard) - rtt;
        core.resending = core.resend.as_ref().map(|ring| ring.cursor(0, since, now));
    }

    /// Repeats a request, byte for byte, or gives its target up.
    pub(super) fn run_pending(&mut self, core: &mut Core, paths: &mut Paths, now: Time) {
        if self.intent.and_then(|intent| intent.not_before).is_some_and(|not_before| not_before <= now) {
            self.try_reattach(core, paths, now);
        }
        if let Some(late) = self.intent.filter(|intent| intent.deadline <= now) {
            return self.target_failed(core, paths, late.to, now);
        }
        let Some(pending) = self.pending.as_mut().filter(|pending| pending.retry_at <= now) else { return };
        let to = pending.intent.to;
        if pending.mismatched {
            return self.ask_again_after_mismatch(core, paths, now);
        }
        if pending.attempts == ATTEMPT_COUNT {
            if let Some(path) = paths.by_key_mut(to) {
                path.note_dead(&core.config.policy, now);
                path.next_probe = now;
            }
            return self.target_failed(core, paths, to, now);
        }
        let Some(path) = paths.by_key(to) else { return };
        pending.retry_at = now + retry_pause(path) * (1 << pending.attempts);
        pending.attempts += 1;
        let (socket, remote, datagram) = (path.link.socket, path.remote, &pending.datagram);
        core.send(socket, remote, |slot| super::birth::copy_into(slot, datagram));
    }

    /// When a request is repeated, a hold ends, or a jump without a ticket is given up.
    pub(super) fn next_pending_due(&self) -> Option<Time> {
        let retry = self.pending.as_ref().map(|pending| pending.retry_at);
        let hold = self.intent.and_then(|intent| intent.not_before);
        let deadline = self.intent.map(|intent| intent.deadline);
        [retry, hold, deadline].into_iter().flatten().min()
    }

    /// The target of the jump under way does not work.
    pub(super) fn target_failed(&mut self, core: &mut Core, paths: &mut Paths, key: u32, now: Time) {
        let pending = self.pending.take_if(|pending| pending.intent.to == key);
        let given_up = pending.as_ref().map(|pending| pending.intent);
        let waiting = self.intent.take_if(|intent| intent.to == key);
        let Some(failed) = given_up.or(waiting) else { return };
        self.keep_lapsed(pending, now);
        core.resending = None;
        if self.state() == State::Recovering {
            self.transition(core, Trigger::JumpRefused, Reason::PathUnusable, now);
        }
        self.after_refusal(core, paths, failed.reason, now);
    }

    /// A request that was given up may still be committed while its ticket lives. Until then its keys are kept, and
    /// no rekey begins: a request of the old key epoch must not meet a new one.
    pub(super) fn keep_lapsed(&mut self, pending: Option<Box<PendingJump>>, now: Time) {
        let Some(pending) = pending else { return };
        let until = now + self.limits.ticket_age;
        self.rekey_at = self.rekey_at.max(until);
        self.lapsed = Some((pending, until));
    }

    /// No jump is under way any more: back to the active path if it works, else on to the next candidate.
    pub(super) fn after_refusal(&mut self, core: &mut Core, paths: &mut Paths, reason: Reason, now: Time) {
        let works =
            paths.by_key(self.active.path).is_some_and(|path| path.up && path.health == Health::Alive);
        if works {
            if self.state() == State::Volatile {
                self.transition(core, Trigger::Recovered, Reason::PathRecovered, now);
            }
        } else {
            let reason = if leaves_a_dead_path(reason) { reason } else { Reason::PathSilent };
            self.decide(core, paths, Cause::DeadPath(reason), Duration::ZERO, now);
        }
    }

    /// A candidate answered a probe.
    pub(super) fn candidate_answered(&mut self, core: &mut Core, paths: &mut Paths, key: u32, now: Time) {
        if self.intent.is_some_and(|intent| intent.to == key) {
            self.try_reattach(core, paths, now);
        } else if self.recovering_since.is_some() && !self.is_jumping() && !self.is_denied(now) {
            self.decide(core, paths, Cause::DeadPath(Reason::PathSilent), Duration::ZERO, now);
        }
    }

    /// Asks now and then whether there is something better, and leaves a path with too much loss.
    pub(super) fn run_choice(&mut self, core: &mut Core, paths: &mut Paths, now: Time) {
        if self.next_choice > now {
            return;
        }
        self.next_choice = now + CHOICE_INTERVAL;
        self.watch_key_use();
        if self.is_jumping() || self.recovering_since.is_some() {
            return;
        }
        let (active, others) = self.views(paths, now);
        let Some(active) = active else { return };
        let policy = &core.config.policy;
        if active.health == Health::Dead {
            return self.decide(core, paths, Cause::DeadPath(Reason::PathSilent), Duration::ZERO, now);
        }
        self.history.record_sample(policy, now, &active, &others);
        let lossy = active.loss_permille > policy.volatility.loss_volatile_threshold;
        let cause = if lossy { Cause::Degraded(Reason::PathLoss) } else { Cause::Improvement };
        self.decide(core, paths, cause, policy_window(core), now);
    }

    /// Whether the policy has said when to ask again, and that time has not come.
    pub(super) fn is_denied(&self, now: Time) -> bool {
        self.denied_until.is_some_and(|until| now < until)
    }

    /// The gateway at which a jump was asked for does not serve the session.
    pub(super) fn abandon_jump(&mut self, core: &mut Core, reason: Reason, now: Time) {
        let (pending, intent) = (self.pending.take(), self.intent.take());
        core.resending = None;
        if (pending.is_some() || intent.is_some()) && self.state() == State::Recovering {
            self.transition(core, Trigger::JumpRefused, reason, now);
        }
    }

    /// Whether a jump is decided or under way.
    pub(super) fn is_jumping(&self) -> bool {
        self.pending.is_some() || self.intent.is_some()
    }
}

/// A verdict on loss looks back over one window.
fn policy_window(core: &Core) -> Duration {
    core.config.policy.volatility.loss_window
}

/// What a REATTACH says.
fn proof(
    intent: &Intent,
    held: &HeldTicket,
    path: &Path,
    path_id: PathId,
    client_nonce: [u8; 16],
    now: Time,
) -> ReattachPayload {
    ReattachPayload {
        ticket: held.ticket,
        version: held.version,
        owner_epoch: held.owner_epoch,
        path_id,
        rebind: intent.rebind,
        warm: intent.tries == 0,
        transport: TransportClass::Udp,
        reason: intent.reason.number(),
        observed: ObservedAddress::new(held.observed),
        client_cid: held.cid,
        client_nonce,
        quality: quality(path, held.received, now),
    }
}

fn retry_pause(path: &Path) -> Duration {
    (path.rtt.smoothed_or_initial() * 3 / 2).max(RETRY_MIN)
}

fn quality(path: &Path, received: Time, now: Time) -> Quality {
    let micros = |span: Duration| u32::try_from(span.as_micros()).unwrap_or(u32::MAX);
    Quality {
        loss_permille: path.loss_permille(),
        rtt_us: path.rtt.smoothed().map_or(0, micros),
        age_ms: u32::try_from(now.since(received).as_millis()).unwrap_or(u32::MAX),
    }
}

/// Header, payload, tag: a control message in `out`, `len` bytes long.
pub(super) fn compose_control(
    out: &mut [u8],
    header: &ControlHeader,
    payload: &[u8],
    key: &AeadKey,
    len: usize,
) -> Option<usize> {
    out[..CONTROL_HEADER_LEN].copy_from_slice(&header.encode());
    out[CONTROL_HEADER_LEN..][..payload.len()].copy_from_slice(payload);
    seal_control(key, &mut out[..len]).ok()?;
    Some(len)
}
