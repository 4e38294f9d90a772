//! In-session rekey, client side: we ask, and the first answer that fits opens the next key epoch.
use std::time::Duration;

use jumpvpn_events::{EventKind, Reason, Time};
use jumpvpn_policy::PostQuantum;
use jumpvpn_session::{EpochContext, ForgeryLimits, RekeyInitiator, RekeyMode, Side, rekey_parts};
use jumpvpn_wire::{Cid, Frame};

use super::Core;
use super::live::{Channel, Live, Stage};
use super::path::Paths;

/// Interval between rekeys, ± 10 % (docs/protocol.md, rekey): WireGuard rekeys after 120 s, IKE after hours; a
/// hybrid exchange costs 2.4 kB, 8 bytes per second at this pace.
const INTERVAL: Duration = Duration::from_secs(300);
/// Repetitions of a request: 200 ms, doubling, at most 3.2 s.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const MAX_DOUBLINGS: u32 = 4;
/// Requests of one rekey before it is abandoned and tried anew 10 s later.
const ATTEMPT_COUNT: u32 = 8;
/// Never more often than this (docs/protocol.md, rekey).
pub(super) const MIN_INTERVAL: Duration = Duration::from_secs(10);
/// Generations of 2^24 packets after which a rekey is due: 2^32 packets (docs/protocol.md, rekey).
const GENERATION_LIMIT: u32 = 256;
/// How long packets of the epoch before are still opened; the gateway keeps them as long.
const PREVIOUS_TTL: Duration = Duration::from_secs(3);

/// A request that waits for its answer.
pub(crate) struct RekeyInFlight {
    initiator: RekeyInitiator,
    /// Why it was begun.
    reason: Reason,
    retry_at: Time,
    attempts: u32,
}

/// How much of what keys may do they have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wear {
    Fresh,
    /// New ones are due.
    Worn,
    /// Nothing more may be opened with them.
    Over,
}

/// The wear of keys under which so many forgeries were refused, and packets of so many generations sealed.
fn wear(forgery_count: u64, generation: u32, limits: ForgeryLimits) -> Wear {
    if forgery_count >= limits.hard {
        Wear::Over
    } else if forgery_count >= limits.soft || generation >= GENERATION_LIMIT {
        Wear::Worn
    } else {
        Wear::Fresh
    }
}

impl Live {
    /// When the next rekey is due: every 300 s ± 10 %.
    pub(super) fn next_rekey(&self, core: &mut Core, now: Time) -> Time {
        let share = u32::from(core.random::<1>()[0]);
        now + INTERVAL * 9 / 10 + INTERVAL / 5 * share / 255
    }

    /// When this file has something to do.
    pub(super) fn next_rekey_due(&self) -> Option<Time> {
        match &self.rekey {
            Some(rekey) => Some(rekey.retry_at),
            None => (matches!(self.stage, Stage::Hardening | Stage::Ready) && !self.is_jumping())
                .then_some(self.rekey_at),
        }
    }

    /// Rekeys that are due, requests to repeat.
    pub(super) fn run_rekey(&mut self, core: &mut Core, paths: &Paths, now: Time) {
        if self.next_rekey_due().is_none_or(|due| due > now) {
            return;
        }
        match &mut self.rekey {
            None => self.start_rekey(core, paths, now),
            Some(rekey) if rekey.attempts == ATTEMPT_COUNT => {
                self.rekey = None;
                self.rekey_at = now + MIN_INTERVAL;
                if self.stage == Stage::Hardening {
                    self.finish(Reason::HandshakeTimeout, false);
                }
            }
            Some(rekey) => {
                rekey.retry_at = now + FIRST_PAUSE * (1 << rekey.attempts.min(MAX_DOUBLINGS));
                rekey.attempts += 1;
                self.send_rekey(core, paths);
            }
        }
    }

    /// Keys wear out: after 2^32 packets, or when too many forgeries were tried on them, new ones are due.
    pub(super) fn watch_key_use(&mut self) {
        let traffic = &self.active.channel.traffic;
        let limits = self.epoch.suite.forgery_limits();
        match wear(traffic.recv.forgery_count(), traffic.send.generation(), limits) {
            Wear::Over => self.finish(Reason::AeadLimit, false),
            Wear::Worn => {
                self.rekey_reason = Reason::RekeyLimit;
                self.rekey_at = self.rekey_at.min(self.epoch_since + MIN_INTERVAL);
            }
            Wear::Fresh => {}
        }
    }

    /// REKEY_WANTED: the gateway asks for new keys. It takes no request sooner than this.
    pub(super) fn rekey_wanted(&mut self, now: Time) {
        self.rekey_at = self.rekey_at.min(now.max(self.epoch_since + MIN_INTERVAL));
    }

    /// Asks for the next key epoch.
    pub(super) fn start_rekey(&mut self, core: &mut Core, paths: &Paths, now: Time) {
        let cid = Cid(core.rng.next_u64());
        let classical = core.config.policy.security.pq == PostQuantum::Off;
        let mode = if classical { RekeyMode::Classical } else { RekeyMode::Hybrid };
        let (n, sid) = (self.epoch.n + 1, self.epoch.sid);
        match RekeyInitiator::start(n, sid, cid, mode, &mut *core.rng) {
            Ok(initiator) => {
                let (reason, retry_at) = (self.rekey_reason, now + FIRST_PAUSE);
                self.rekey = Some(Box::new(RekeyInFlight { initiator, reason, retry_at, attempts: 1 }));
                self.send_rekey(core, paths);
            }
            Err(_) => {
                self.rekey_at = now + MIN_INTERVAL;
                core.counters.drops.record(Reason::Internal);
            }
        }
    }

    fn send_rekey(&mut self, core: &mut Core, paths: &Paths) {
        let Some(rekey) = self.rekey.take() else { return };
        for (part, parts, body) in rekey_parts(rekey.initiator.request()) {
            self.send_frames(core, paths, &[Frame::RekeyReq { part, parts, body }]);
        }
        self.rekey = Some(rekey);
    }

    /// A jump begins: the answer could arrive on a path that is given up, so the rekey starts over afterwards.
    pub(super) fn abandon_rekey(&mut self, now: Time) {
        if self.rekey.take().is_some() {
            self.rekey_at = now + Duration::from_secs(1);
        }
    }

    /// REKEY_RESP.
    pub(super) fn handle_rekey_response(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        response: &[u8],
        now: Time,
    ) {
        let Some(rekey) = &self.rekey else { return };
        let finished = match rekey.initiator.finish(&self.secret, response) {
            Ok(finished) => finished,
            Err(error) => return core.counters.drops.record(error.reason()),
        };
        let reason = rekey.reason;
        self.rekey = None;
        let context = EpochContext { n: finished.n, ..self.epoch };
        let traffic = finished.secret.binding(&context, &self.active.context, Side::Client);
        let fresh = Channel { traffic, local_cid: finished.client_cid, peer_cid: finished.terms.server_cid };
        let old = std::mem::replace(&mut self.active.channel, fresh);
        self.active.previous = Some((old, now + PREVIOUS_TTL));
        let control = finished.secret.control(&context);
        let old_control = std::mem::replace(&mut self.control, control);
        self.previous_control = Some((self.epoch.n, old_control, now + PREVIOUS_TTL));
        self.epoch = context;
        self.keyring.rekeyed(finished.secret.credentials(&context), context.owner_epoch);
        self.secret = finished.secret;
        self.epoch_since = now;
        self.token_config = finished.terms.token_config;
        self.tokens.push(finished.terms.token);
        self.rekey_at = self.next_rekey(core, now);
        self.rekey_reason = Reason::RekeyTimer;
        self.event(core, reason, EventKind::Rekey { key_epoch: context.n }, now);
        if self.stage == Stage::Hardening {
            self.ready(core, paths, now);
        }
        // The first packet under the new epoch confirms it to the gateway.
        self.watch.restart(now);
        self.send_beat(core, paths, now);
    }
}

#[cfg(test)]
mod tests;
