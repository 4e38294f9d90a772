//! Probing: candidates are measured and kept warm (a fresh ticket in hand), so that a jump is one message.
use std::time::Duration;

use jumpvpn_events::{BindingState, EventKind, Reason, Time};
use jumpvpn_policy::Health;
use jumpvpn_wire::{
    CONTROL_HEADER_LEN, Cid, ControlHeader, Frame, Kind, PathId, ProbeFlags, ProbePayload, TAG_LEN,
    TicketPayload, TransportClass,
};

use super::Core;
use super::live::{Live, Stage};
use super::path::{HeldTicket, Path, Paths, ProbeInFlight};

/// PATH_PROBE without padding.
const PROBE_LEN: usize = CONTROL_HEADER_LEN + ProbePayload::LEN + TAG_LEN;
/// Nobody has used the tunnel for this long: candidates are probed lazily.
const IN_USE: Duration = Duration::from_secs(10);
/// A dead candidate is asked again after this time: often enough to notice a link that works again before
/// a person does, rarely enough to cost nothing.
const DEAD_PROBE_PAUSE: Duration = Duration::from_secs(1);
/// A probe for which the budget has nothing left is sent this much later.
const BUDGET_PAUSE: Duration = Duration::from_millis(110);
/// Spare route tokens below which more are asked for.
const TOKENS_LOW: usize = 3;

/// Why a probe is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ProbeOrder {
    /// A jump waits for it.
    pub urgent: bool,
    /// Our address may have changed under us: ask the old one.
    pub rebind: bool,
}

impl Live {
    /// A user packet passes. When the first one after a while does, what was learned of the candidates is old: those that
    /// were asked lazily are asked at the pace of a tunnel in use from here on.
    pub(super) fn note_use(&self, core: &mut Core, paths: &mut Paths, now: Time) {
        let was_idle = now.since(core.last_use) >= IN_USE;
        core.last_use = now;
        if !was_idle {
            return;
        }
        let interval = probe_interval(core, now);
        for path in paths.iter_mut().filter(|path| path.up && path.health != Health::Dead) {
            path.next_probe = path.next_probe.min((path.probed + interval).max(now));
        }
    }

    /// When a candidate is to be probed next, and probes that are overdue.
    pub(super) fn next_probe_due(&self, paths: &Paths) -> Option<Time> {
        if self.stage != Stage::Ready {
            return None;
        }
        paths.iter().filter(|path| path.up).filter_map(|path| self.probe_due(path)).min()
    }

    fn probe_due(&self, path: &Path) -> Option<Time> {
        match &path.probe {
            Some(probe) => Some(probe.sent + path.rtt.timeout()),
            None if path.key == self.active.path => None,
            None => Some(path.next_probe),
        }
    }

    /// Probes that are due, and answers that never came.
    pub(super) fn run_probes(&mut self, core: &mut Core, paths: &mut Paths, now: Time) {
        if self.stage != Stage::Ready {
            return;
        }
        let due: Vec<(u32, bool)> = paths
            .iter()
            .filter(|path| path.up && self.probe_due(path).is_some_and(|due| due <= now))
            .map(|path| (path.key, path.probe.is_some()))
            .collect();
        if !due.is_empty() {
            self.tell_passed_over(core, paths, now);
        }
        for (key, unanswered) in due {
            if unanswered {
                self.probe_lost(core, paths, key, now);
            } else if self.recovering_since.is_none() && self.may_probe(core, paths, key) {
                self.send_probe(core, paths, key, ProbeOrder::default(), now);
            } else if let Some(path) = paths.by_key_mut(key) {
                // One too many, or asked by the recovery at its own pace.
                path.next_probe = now + DEAD_PROBE_PAUSE;
            }
        }
    }

    /// Only the first few candidates are kept warm.
    fn may_probe(&self, core: &Core, paths: &Paths, key: u32) -> bool {
        let limit = usize::from(core.config.policy.transport.max_candidate_count);
        let candidates = paths.iter().filter(|path| path.up && path.key != self.active.path);
        candidates.take(limit).any(|path| path.key == key)
    }

    /// Tells, each time it changes, that there are more candidates than are kept warm.
    fn tell_passed_over(&mut self, core: &mut Core, paths: &Paths, now: Time) {
        let limit = usize::from(core.config.policy.transport.max_candidate_count);
        let count = paths.iter().filter(|path| path.up && path.key != self.active.path).count();
        let passed_over = count.saturating_sub(limit);
        if passed_over != self.passed_over && passed_over > 0 {
            let kind = EventKind::Policy { threshold: limit as u64, observed: count as u64 };
            self.event(core, Reason::CandidateLimit, kind, now);
        }
        self.passed_over = passed_over;
    }

    fn probe_lost(&mut self, core: &mut Core, paths: &mut Paths, key: u32, now: Time) {
        self.renew_token(core, paths, key);
        let Some(path) = paths.by_key_mut(key) else { return };
        if key == self.active.path {
            return self.active_probe_lost(core, paths, now);
        }
        path.note_probe_lost(&core.config.policy, now);
        if path.health != Health::Dead {
            self.send_probe(core, paths, key, ProbeOrder::default(), now);
        } else {
            path.next_probe = now + DEAD_PROBE_PAUSE;
            self.set_binding(core, paths, key, BindingState::Candidate, Reason::PathSilent, now);
            self.target_failed(core, paths, key, now);
        }
    }

    /// The active path is judged by its heartbeats; only a jump that waits for this answer cares.
    fn active_probe_lost(&mut self, core: &mut Core, paths: &mut Paths, now: Time) {
        let key = self.active.path;
        let waits = self.intent.is_some_and(|intent| intent.to == key);
        let Some(path) = paths.by_key_mut(key) else { return };
        path.give_up_probe();
        path.probes_lost += u32::from(waits);
        let limit = u32::from(core.config.policy.volatility.max_consecutive_drops);
        if waits && path.probes_lost < limit {
            self.send_probe(core, paths, key, ProbeOrder { urgent: true, rebind: false }, now);
        } else if waits {
            path.note_dead(&core.config.policy, now);
            self.target_failed(core, paths, key, now);
        }
    }

    /// Sends a PATH_PROBE over `key`.
    pub(super) fn send_probe(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        key: u32,
        order: ProbeOrder,
        now: Time,
    ) {
        if !self.probe_budget.take(now) {
            if let Some(path) = paths.by_key_mut(key) {
                path.next_probe = now + BUDGET_PAUSE;
            }
            return;
        }
        let nonce: [u8; 8] = core.random();
        let fresh_cid = Cid(core.rng.next_u64());
        let Some(token) = self.token_for(paths, key) else { return };
        let interval = probe_interval(core, now);
        let cseq = self.next_cseq();
        let Some(path) = paths.by_key_mut(key).filter(|path| path.up) else { return };
        let path_id = match path.path_id {
            Some(path_id) => path_id,
            None => {
                let path_id = PathId(self.next_path_id);
                self.next_path_id += 1;
                *path.path_id.insert(path_id)
            }
        };
        let payload = ProbePayload {
            nonce,
            path_id,
            flags: ProbeFlags { urgent: order.urgent, rebind: order.rebind, mtu: false },
            transport: TransportClass::Udp,
            // Fresh for each ticket: a new binding never reuses the CID of the present one.
            client_cid: fresh_cid,
            rtt_us: path.rtt.smoothed().map_or(0, |rtt| u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX)),
        };
        path.note_probe_sent(ProbeInFlight { nonce, sent: now, rebind: order.rebind, cid: fresh_cid });
        path.next_probe = now + interval;
        let header = ControlHeader {
            kind: Kind::PathProbe,
            token_config: self.token_config,
            epoch: self.epoch.n as u16,
            token,
            cseq,
        };
        let (socket, remote, key) = (path.link.socket, path.remote, &self.control.c2s);
        core.send(socket, remote, |slot| {
            super::jump::compose_control(slot, &header, &payload.encode(), key, PROBE_LEN)
        });
    }

    /// A route token for the path: its own; a path without one takes a spare; without spares the active path's or
    /// the one used last serves (linkable, not unsafe), and more are asked for.
    fn token_for(&mut self, paths: &mut Paths, key: u32) -> Option<jumpvpn_wire::RouteToken> {
        let of_active = paths.by_key(self.active.path).and_then(|path| path.token);
        let path = paths.by_key_mut(key)?;
        if path.token.is_none() {
            path.token = self.tokens.pop();
            path.token_answered = false;
        }
        self.last_token = path.token.or(of_active).unwrap_or(self.last_token);
        Some(self.last_token)
    }

    /// A token that was answered and is not any more may have been captured: somebody who floods the gateway with it
    /// uses up its bucket. The next probe goes out under one that nobody has seen. Once: on a path that is dead another
    /// token helps no more than this one.
    fn renew_token(&mut self, core: &mut Core, paths: &mut Paths, key: u32) {
        let Some(path) = paths.by_key_mut(key) else { return };
        if path.token_answered && !self.tokens.is_empty() {
            path.token = None;
            path.token_answered = false;
            self.want_tokens(core, paths);
        }
    }

    /// Asks for route tokens when few are left.
    pub(super) fn want_tokens(&mut self, core: &mut Core, paths: &Paths) {
        if self.tokens.len() < TOKENS_LOW {
            self.send_frames(core, paths, &[Frame::Want { tokens: 8, config: false }]);
        }
    }

    /// PATH_TICKET: the answer to a probe, or the gateway's word that a REATTACH came from another address than
    /// it named.
    pub(super) fn handle_ticket(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        key: u32,
        ticket: &TicketPayload,
        now: Time,
    ) -> Result<(), Reason> {
        if ticket.mismatch {
            return self.handle_mismatch(ticket);
        }
        let policy = &core.config.policy;
        let path = paths.by_key_mut(key).ok_or(Reason::UnknownPath)?;
        if path.path_id != Some(ticket.path_id) {
            return Err(Reason::StaleTicket);
        }
        let Some(probe) = path.take_probe(ticket.nonce) else { return contradiction(path, ticket, now) };
        if !path.accepts(ticket.observed.socket_addr()) {
            path.note_contradiction(now);
            return Err(Reason::PathDuplication);
        }
        path.probes_answered += 1;
        path.token_answered = true;
        path.rtt.update(now.since(probe.sent));
        path.note_alive(policy, now);
        if path.answered.is_none() || !path.contradicted {
            path.contradictions = 0;
        }
        path.contradicted = false;
        let observed = ticket.observed.socket_addr();
        path.answered = Some((ticket.nonce, observed));
        path.ticket = Some(HeldTicket {
            ticket: ticket.ticket,
            cid: probe.cid,
            version: ticket.version,
            owner_epoch: ticket.owner_epoch,
            observed,
            received: now,
        });
        let before = path.observed.replace(observed);
        self.learn_version(core, paths, ticket.version, now);
        if key == self.active.path {
            let changed = before.is_some_and(|before| before != observed);
            self.active_probed(core, paths, probe, changed, now);
        } else {
            // A path that still drains comes back into the life cycle when that is over.
            if paths.by_key(key).is_some_and(|path| path.binding != BindingState::Draining) {
                self.set_binding(core, paths, key, BindingState::Validated, Reason::PathValidated, now);
            }
            self.candidate_answered(core, paths, key, now);
        }
        Ok(())
    }
}

/// A second answer to a probe that was answered already: when it names another address, somebody forwards our
/// packets, and neither address is used.
fn contradiction(path: &mut Path, ticket: &TicketPayload, now: Time) -> Result<(), Reason> {
    let Some((nonce, observed)) = path.answered else { return Err(Reason::StaleTicket) };
    if nonce != ticket.nonce || observed == ticket.observed.socket_addr() {
        return Err(Reason::StaleTicket);
    }
    path.ticket = None;
    path.observed = None;
    path.contradicted = true;
    path.note_contradiction(now);
    Err(Reason::PathDuplication)
}

/// How often a candidate is probed: hot while somebody uses the tunnel.
fn probe_interval(core: &Core, now: Time) -> Duration {
    let probe = &core.config.policy.probe;
    if now.since(core.last_use) < IN_USE { probe.hot_interval } else { probe.idle_interval }
}
