//! Asking a gateway to go on with the session: when, which one, how often.
//!
//! One request is under way at a time. It goes out without a cookie over every path to the gateway; the path whose
//! HS_RETRY comes first carries the rest. An answer that agrees is taken by `claim`. While the session may still come
//! back by itself, probes go on beside it, and whichever ends first wins.
use std::hash::Hasher as _;
use std::time::Duration;

use jumpvpn_events::{Reason, Time};
use jumpvpn_policy::{PostQuantum, recovery};
use jumpvpn_session::{
    HandshakeError, PublicKey, TakeoverConfig, TakeoverInitiator, is_reset_token, orphaned_proof,
};
use jumpvpn_wire::{
    Cid, Kind, MoveAdvice, NoSession, PathId, SessionId, TAKEOVER_INIT_LEN, TakeoverInitPayload,
    TakeoverRefusal, features,
};
use siphasher::sip::SipHasher13;

use super::live::{Live, Stage};
use super::path::{Path, Paths};
use super::recover::SLOW_PAUSE;
use super::{Core, GatewayPeer};
use crate::{Received, SocketKey};

/// The own gateway is silent on every path for this long: another one is asked. Eight rounds of probes, and longer than
/// a gateway on the same machine needs to come back and say so itself.
const ELSEWHERE_AFTER: Duration = Duration::from_millis(1_200);
/// Up to this much later, at random: a gateway that died had more clients than this one.
const ELSEWHERE_JITTER: Duration = Duration::from_millis(400);
/// The same where its machine lives and says that it is gone: clients notice at different times, by when they send; and whoever is asked
/// admits so many a second and has the others come later.
const REFUSED_JITTER: Duration = Duration::from_millis(100);
/// The same for a gateway that came back: short, because it serves nobody yet and its clients wait.
const ORPHANED_JITTER: Duration = Duration::from_millis(32);
/// A request is repeated after this time, then doubling: above the round trip of most paths.
const REPEAT_PAUSE: Duration = Duration::from_millis(200);
/// How often a request is sent before it is given up: at once, after 200 ms and after 600 ms.
const SEND_COUNT: u32 = 3;
/// An attempt without an answer is over after this time.
const ATTEMPT_TIME: Duration = Duration::from_millis(1_000);
/// Cookies taken in one attempt. The second one replaces one that aged on a slow path; whoever sees our requests can
/// forge more, and each would make us send again.
const COOKIE_COUNT: u32 = 2;
/// Paths over which one request goes out at a time, as in a handshake.
const RACE_WIDTH: usize = 4;
/// An orphaned session is told of in the answer to one of the last control messages. An older one was recorded.
const ORPHAN_WINDOW: u64 = 64;
/// Pause after a refusal that names none, and the shortest and longest that is obeyed: an owner is given up after some
/// two seconds, and a client that waits longer than that is of no use to anybody.
const REFUSED_PAUSE: Duration = Duration::from_millis(500);
const REFUSED_PAUSE_MIN: Duration = Duration::from_millis(50);
const REFUSED_PAUSE_MAX: Duration = Duration::from_secs(2);
/// Shortest pause between two attempts.
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// For so long after its deadline a gateway is left that has not stopped yet; then its advice is forgotten.
const ADVICE_TTL: Duration = Duration::from_secs(60);
/// Longest window and deadline that are obeyed: a gateway that drains for longer advises again.
const ADVICE_WINDOW_MAX: Duration = Duration::from_secs(300);
/// Why another gateway, or the own one anew, is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// This gateway says that nobody serves the session.
    Orphaned(usize),
    /// The own gateway is silent.
    Unreachable,
    /// The same, and its machine says that nobody listens.
    Refused,
    /// The gateway of the last claim is silent, or has refused.
    Unclaimed,
}

/// The way to another gateway.
pub(crate) struct Takeover {
    pub reason: Reason,
    /// Gateways in the order in which they are asked, as indices of the configuration.
    order: Vec<usize>,
    /// Attempts made so far.
    turn: usize,
    /// When the next attempt begins.
    next: Time,
    attempt: Option<Box<Attempt>>,
    /// The link that won the last race and led to nothing: whoever sees our requests there can answer them first, and
    /// must not keep us from a link where he does not. It is left out of the next race.
    shunned: Option<SocketKey>,
    /// The session works where it is; nothing is tried beyond that time.
    planned_until: Option<Time>,
}

/// A request under way.
struct Attempt {
    initiator: TakeoverInitiator,
    terms: Terms,
}

/// Where a request goes, and when.
#[derive(Clone, Copy)]
struct Terms {
    gateway: usize,
    /// The number of the credentials.
    base: u64,
    /// The link that is left out.
    shunned: Option<SocketKey>,
    /// The path whose cookie came first.
    path: Option<u32>,
    sent: Time,
    ends: Time,
    retry_at: Time,
    sends: u32,
    cookies: u32,
}

impl Attempt {
    /// Whether the request goes out over this path.
    fn asks(&self, path: &Path) -> bool {
        match self.terms.path {
            Some(key) => key == path.key,
            None => self.terms.shunned != Some(path.link.socket),
        }
    }
}

impl Takeover {
    fn due(&self) -> Time {
        self.attempt.as_ref().map_or(self.next, |attempt| attempt.terms.retry_at.min(attempt.terms.ends))
    }
}

/// A random time below `most`.
pub(super) fn jitter(core: &mut Core, most: Duration) -> Duration {
    let share = u32::from(u16::from_le_bytes(core.random()));
    most.mul_f64(f64::from(share) / 65_536.0)
}

/// Which credentials are tried on a turn, by their place: the newest at each gateway first, as they are the right ones almost always. From
/// then on other ones on each turn: a gateway that has others says nothing, and those that they have may not wait until all gateways
/// were asked with all before them.
fn credentials_turn(turn: usize, gateway_count: usize) -> usize {
    let (round, place) = (turn / gateway_count, turn % gateway_count);
    if round == 0 { 0 } else { round + place }
}

/// Gateways by the hash of who asks and of each one's name, so that the clients of one that died spread over the others by their
/// weights, and each begins with the same one every time. Those that drain come last.
///
/// Weighted rendezvous hashing: with h even over (0, 1), the gateway with the greatest -weight / ln h comes first, and is the first of
/// so many clients as its weight is of all weights. Where the weights are alike that is the order of h.
pub fn rendezvous(who: [u8; 16], gateways: &[GatewayPeer]) -> Vec<usize> {
    let scored = |gateway: usize| {
        let peer = &gateways[gateway];
        let mut hasher = SipHasher13::new_with_key(&who);
        hasher.write(&peer.public.0);
        let hash = hasher.finish();
        // 2^64 steps, and never 0 or 1, whose logarithms are none or zero.
        let share = (hash as f64 + 0.5) / 18_446_744_073_709_551_616.0;
        let score = -f64::from(peer.weight) / share.min(1.0 - f64::EPSILON).ln();
        (gateway, peer.draining, score, hash)
    };
    let mut order: Vec<_> = (0..gateways.len()).map(scored).collect();
    order.sort_by(|a, b| a.1.cmp(&b.1).then(b.2.total_cmp(&a.2)).then(b.3.cmp(&a.3)));
    order.into_iter().map(|(gateway, ..)| gateway).collect()
}

impl Live {
    /// When this file has something to do.
    pub(super) fn next_takeover_due(&self) -> Option<Time> {
        self.takeover.as_ref().map(|takeover| takeover.due())
    }

    fn rendezvous(&self, core: &Core, now: Time) -> Vec<usize> {
        let gateways = &core.config.gateways;
        let mut order = rendezvous(self.epoch.sid.0, gateways);
        order.retain(|&gateway| gateways[gateway].is_current(now));
        order
    }

    /// Begins to ask, or asks the gateway that has something to say first.
    pub(super) fn start_takeover(&mut self, core: &mut Core, paths: &Paths, cause: Cause, now: Time) {
        if self.is_newborn() {
            return;
        }
        let home = paths.home();
        let mut order = self.rendezvous(core, now);
        let (reason, wait) = match cause {
            Cause::Orphaned(first) => {
                order.retain(|&gateway| gateway != first);
                order.insert(0, first);
                (Reason::Orphaned, jitter(core, ORPHANED_JITTER))
            }
            Cause::Unreachable => {
                // As long as there are keys for it, the own one is asked by probes.
                order.retain(|&gateway| gateway != home);
                (Reason::GatewaySilent, jitter(core, ELSEWHERE_JITTER))
            }
            Cause::Refused => {
                order.retain(|&gateway| gateway != home);
                (Reason::GatewaySilent, jitter(core, REFUSED_JITTER))
            }
            Cause::Unclaimed => {
                let at = order.iter().position(|&gateway| gateway == home).unwrap_or(0);
                order.rotate_left(at + 1);
                (Reason::GatewaySilent, jitter(core, ORPHANED_JITTER))
            }
        };
        if order.is_empty() {
            return;
        }
        // A claim that came to nothing did so on the link of the binding.
        let claimed = self.claim.as_ref().and_then(|_| paths.by_key(self.active.path));
        let shunned = claimed.map(|path| path.link.socket);
        let (next, attempt) = (now + wait, None);
        self.takeover =
            Some(Box::new(Takeover { reason, order, turn: 0, next, attempt, shunned, planned_until: None }));
    }

    /// The session is back, or moves on at its own gateway. A takeover that was advised goes on.
    pub(super) fn cancel_takeover(&mut self) {
        self.takeover.take_if(|takeover| takeover.planned_until.is_none());
    }

    /// A link came: the next attempt is due now.
    pub(super) fn hurry_takeover(&mut self, now: Time) {
        if let Some(takeover) = self.takeover.as_mut().filter(|takeover| takeover.planned_until.is_none()) {
            takeover.next = takeover.next.min(now);
        }
    }

    /// Whether the own gateway has been silent for too long.
    pub(super) fn look_elsewhere(&mut self, core: &mut Core, paths: &Paths, now: Time) {
        let Some(since) = self.recovering_since else { return };
        let patience = ELSEWHERE_AFTER.min(core.config.policy.volatility.volatile_to_degraded);
        if now.since(since) < patience || core.config.gateways.len() < 2 {
            return;
        }
        match &mut self.takeover {
            None => self.start_takeover(core, paths, Cause::Unreachable, now),
            // It is no longer a matter of choice.
            Some(takeover) => takeover.planned_until = None,
        }
    }

    /// MOVE_ADVICE: the gateway is going to stop. Only gateways of our configuration are taken, and known by their keys.
    pub(super) fn handle_advice(
        &mut self,
        core: &mut Core,
        paths: &Paths,
        advice: &MoveAdvice<'_>,
        now: Time,
    ) {
        if self.stage != Stage::Ready || self.takeover.is_some() {
            return;
        }
        let home = paths.home();
        let known = |public: [u8; 32]| {
            let current =
                |gateway: &GatewayPeer| gateway.public == PublicKey(public) && gateway.is_current(now);
            core.config.gateways.iter().position(current)
        };
        let mut order: Vec<usize> = Vec::new();
        let named = advice.gateways().filter_map(|gateway| known(gateway.public));
        for gateway in named.chain(self.rendezvous(core, now)) {
            if gateway != home && !order.contains(&gateway) {
                order.push(gateway);
            }
        }
        if order.is_empty() {
            return;
        }
        let millis = |millis: u32| Duration::from_millis(u64::from(millis));
        let deadline = millis(advice.deadline_ms).min(ADVICE_WINDOW_MAX);
        let window = millis(advice.window_ms).min(deadline);
        let reason = Reason::from_number(advice.reason).unwrap_or(Reason::GatewayDraining);
        let next = now + jitter(core, window);
        self.takeover = Some(Box::new(Takeover {
            reason,
            order,
            turn: 0,
            next,
            attempt: None,
            shunned: None,
            planned_until: Some(now + deadline + ADVICE_TTL),
        }));
    }

    /// NO_SESSION with the flag *orphaned*: believed only in doubt, for a recent message, with the proof of who knows the
    /// reset token.
    pub(super) fn handle_orphaned(
        &mut self,
        core: &mut Core,
        paths: &Paths,
        key: u32,
        message: &NoSession,
        now: Time,
    ) -> Result<Received, Reason> {
        let proof = orphaned_proof(&self.reset_token, message.cseq);
        // What was said before the present owner began is about the one before.
        let recent = message.cseq > self.owner_since
            && message.cseq <= self.cseq
            && self.cseq - message.cseq < ORPHAN_WINDOW;
        if !is_reset_token(&proof, &message.reset_token) || !recent || !self.is_in_doubt() {
            return Err(Reason::BadProof);
        }
        let gateway = paths.by_key(key).ok_or(Reason::UnknownPath)?.gateway;
        let asked = self.takeover.as_ref().is_some_and(|takeover| {
            takeover.reason == Reason::Orphaned && takeover.order.first() == Some(&gateway)
        });
        if asked {
            return Ok(Received::Consumed);
        }
        self.abandon_jump(core, Reason::Orphaned, now);
        if self.recovering_since.is_none() {
            self.lose_gateway(core, Reason::Orphaned, now);
        }
        self.start_takeover(core, paths, Cause::Orphaned(gateway), now);
        Ok(Received::Consumed)
    }

    /// Attempts that are due, requests to repeat.
    pub(super) fn run_takeover(&mut self, core: &mut Core, paths: &mut Paths, now: Time) {
        let Some(takeover) = &mut self.takeover else { return };
        if takeover.due() > now {
            return;
        }
        if takeover.planned_until.is_some_and(|until| until <= now) {
            self.takeover = None;
            return;
        }
        match &mut takeover.attempt {
            Some(attempt) if attempt.terms.ends <= now => {
                let path = attempt.terms.path.and_then(|key| paths.by_key(key));
                takeover.shunned = path.map(|path| path.link.socket);
                takeover.attempt = None;
                self.pause_takeover(core, now, Duration::ZERO);
            }
            Some(attempt) => {
                let terms = &mut attempt.terms;
                terms.retry_at = now + REPEAT_PAUSE * (1 << terms.sends);
                terms.sends += 1;
                if terms.sends > SEND_COUNT {
                    terms.retry_at = terms.ends;
                } else {
                    send_attempt(core, paths, attempt);
                }
            }
            None => self.start_attempt(core, paths, now),
        }
    }

    /// The next attempt comes after `least`, and after a pause when every gateway has been asked.
    fn pause_takeover(&mut self, core: &mut Core, now: Time, least: Duration) {
        let exhausted =
            self.recovering_since.is_some_and(|since| recovery::exhausted(&core.config.policy, since, now));
        let spread = jitter(core, ORPHANED_JITTER);
        let Some(takeover) = &mut self.takeover else { return };
        // As many as there are gateways and credentials for each.
        let round = takeover.order.len() * self.keyring.len();
        let rounds = (takeover.turn / round) as u32;
        let pause = if !takeover.turn.is_multiple_of(round) {
            Duration::ZERO
        } else if exhausted {
            SLOW_PAUSE
        } else {
            recovery::backoff(&core.config.policy, recovery::EARLY_TRIES + rounds)
        };
        takeover.next = now + pause.max(least).max(PAUSE_MIN) + spread;
    }

    fn start_attempt(&mut self, core: &mut Core, paths: &mut Paths, now: Time) {
        let Some(takeover) = &mut self.takeover else { return };
        let gateway = takeover.order[takeover.turn % takeover.order.len()];
        let turn = credentials_turn(takeover.turn, takeover.order.len());
        takeover.turn += 1;
        let reached = |gateway: usize| paths.to_gateway(gateway).next().is_some();
        if !reached(gateway) {
            let none = !takeover.order.iter().any(|&gateway| reached(gateway));
            return self.pause_takeover(core, now, if none { SLOW_PAUSE } else { Duration::ZERO });
        }
        let path_id = PathId(self.next_path_id);
        self.next_path_id += 1;
        let cseq = self.next_cseq();
        let token = self.tokens.pop().unwrap_or(self.last_token);
        let entry = self.keyring.turn(turn);
        let base = entry.serial;
        let Some(takeover) = &mut self.takeover else { return };
        let config = TakeoverConfig {
            private: &core.config.private,
            gateway: &core.config.gateways[gateway].public,
            credentials: &entry.credentials,
            sid: SessionId(self.label.0),
            owner_epoch: entry.owner_epoch,
            version: self.version,
            cseq,
            token,
            token_config: self.token_config,
            payload: TakeoverInitPayload {
                client_cid: Cid(core.rng.next_u64()),
                path_id,
                features: crate::pq_features(core.config.policy.security.pq) as u16,
                suites: core.config.suites.bits(),
                lanes: 1,
                random: [0; 12],
            },
        };
        let mut out = [0; TAKEOVER_INIT_LEN];
        match TakeoverInitiator::start(config, &mut *core.rng, &mut out) {
            Ok(initiator) => {
                let shunned = takeover.shunned;
                let other = paths.to_gateway(gateway).any(|path| Some(path.link.socket) != shunned);
                let terms = Terms {
                    gateway,
                    base,
                    shunned: shunned.filter(|_| other),
                    path: None,
                    sent: now,
                    ends: now + ATTEMPT_TIME,
                    retry_at: now + REPEAT_PAUSE,
                    sends: 1,
                    cookies: 0,
                };
                let attempt = takeover.attempt.insert(Box::new(Attempt { initiator, terms }));
                send_attempt(core, paths, attempt);
            }
            Err(_) => {
                core.counters.drops.record(Reason::BadHandshake);
                self.pause_takeover(core, now, Duration::ZERO);
            }
        }
    }

    /// HS_RETRY and TAKEOVER_RESP. A forged answer never destroys an attempt.
    pub(super) fn handle_takeover(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        key: u32,
        kind: Kind,
        datagram: &[u8],
        now: Time,
    ) -> Result<Received, Reason> {
        let gateway = paths.by_key(key).ok_or(Reason::UnknownPath)?.gateway;
        if kind == Kind::TakeoverResp && datagram.len() == TakeoverRefusal::LEN {
            return self.handle_refusal(core, paths, gateway, datagram, now);
        }
        let attempt = self.takeover.as_mut().and_then(|takeover| takeover.attempt.as_mut());
        let attempt = attempt.filter(|attempt| attempt.terms.gateway == gateway).ok_or(Reason::UnknownCid)?;
        if kind == Kind::HsRetry {
            let asked = paths.by_key(key).is_some_and(|path| attempt.asks(path));
            if !asked {
                // The answer to the same request over another path.
                return Ok(Received::Consumed);
            }
            if attempt.terms.cookies == COOKIE_COUNT {
                return Err(Reason::RateLimited);
            }
            let mut out = [0; TAKEOVER_INIT_LEN];
            attempt.initiator.handle_retry(datagram, &mut out).map_err(|_| Reason::BadCookie)?;
            let terms = &mut attempt.terms;
            terms.cookies += 1;
            terms.path = Some(key);
            (terms.sent, terms.sends) = (now, 1);
            (terms.retry_at, terms.ends) = (now + REPEAT_PAUSE, now + ATTEMPT_TIME);
            send_attempt(core, paths, attempt);
            return Ok(Received::Consumed);
        }
        if attempt.terms.path != Some(key) {
            return Err(Reason::AddressMismatch);
        }
        self.handle_agreement(core, paths, key, datagram, now)
    }

    /// A gateway agrees to go on with the session.
    fn handle_agreement(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        key: u32,
        datagram: &[u8],
        now: Time,
    ) -> Result<Received, Reason> {
        let Some(takeover) = &mut self.takeover else { return Err(Reason::UnknownCid) };
        let Some(attempt) = takeover.attempt.take() else { return Err(Reason::UnknownCid) };
        let Attempt { initiator, terms } = *attempt;
        let refusals = initiator.refusals();
        let (taken, payload) = match initiator.handle_response(datagram) {
            Ok(agreed) => agreed,
            Err((initiator, error)) => {
                takeover.attempt = Some(Box::new(Attempt { initiator: *initiator, terms }));
                return Err(error.reason());
            }
        };
        // A request to move is at the own gateway: it may be committed already, and counts. Or a move was committed
        // since the request, or these keys would be less than those before.
        let pq = core.config.policy.security.pq;
        let weaker = pq == PostQuantum::Required && payload.features & features::PQ == 0;
        if self.pending.is_some() || payload.version <= self.version || weaker {
            self.pause_takeover(core, now, REFUSED_PAUSE);
            return Ok(Received::Consumed);
        }
        let reason = takeover.reason;
        self.disowned.remove(&terms.gateway);
        if let Some(path) = paths.by_key_mut(key).filter(|_| terms.sends == 1) {
            path.rtt.update(now.since(terms.sent));
        }
        self.takeover = None;
        let agreed =
            super::claim::Agreed { gateway: terms.gateway, path: key, refusals, reason, base: terms.base };
        self.claim(core, paths, agreed, taken, payload, now);
        Ok(Received::Consumed)
    }

    /// A gateway refuses: authenticated by who can read the store, for this very request.
    fn handle_refusal(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        gateway: usize,
        datagram: &[u8],
        now: Time,
    ) -> Result<Received, Reason> {
        let reason_of = |error: HandshakeError| match error {
            HandshakeError::Mac => Reason::BadProof,
            other => other.reason(),
        };
        let attempt = self.takeover.as_ref().and_then(|takeover| takeover.attempt.as_ref());
        let of_claim = self.claim.is_some() && attempt.is_none_or(|attempt| attempt.terms.gateway != gateway);
        let refused = match attempt.filter(|attempt| attempt.terms.gateway == gateway) {
            Some(attempt) => {
                let refusal = attempt.initiator.read_refusal(datagram).map_err(reason_of)?;
                (refusal, attempt.initiator.n())
            }
            None => {
                let refused = self.refused_claim(gateway, datagram).ok_or(Reason::UnknownCid)?;
                let refused = refused.map_err(reason_of)?;
                self.void_claim();
                refused
            }
        };
        let (refusal, n) = refused;
        // Upwards only: a store that lost what it had must not take us back.
        let news = self.keyring.raise(n, refusal.owner_epoch);
        let reason = Reason::from_number(refusal.reason).unwrap_or(Reason::Internal);
        if reason == Reason::OwnerAlive && self.degraded_since.is_some() {
            // Somebody who knows says that the session lives; the limit without a transport still ends it.
            self.degraded_since = Some(now);
        }
        core.counters.drops.record(reason);
        self.note_disowned(core, paths.home(), gateway, reason, now);
        if self.stage == Stage::Claiming && self.takeover.is_none() {
            self.claim_failed(core, paths, reason, now);
        }
        let pause = match refusal.retry_after_ms {
            0 if news => REFUSED_PAUSE_MIN,
            0 => REFUSED_PAUSE,
            millis => Duration::from_millis(u64::from(millis)).clamp(REFUSED_PAUSE_MIN, REFUSED_PAUSE_MAX),
        };
        let others = |takeover: &&mut Box<Takeover>| of_claim && takeover.attempt.is_some();
        if let Some(takeover) = self.takeover.as_mut().filter(|takeover| !others(takeover)) {
            takeover.attempt = None;
            if news {
                // The same question again, with what was learned.
                takeover.turn = takeover.turn.saturating_sub(1);
            }
            takeover.next = now + pause;
        }
        Ok(Received::Consumed)
    }
}

impl Live {
    /// A gateway has struck the client from its file, or gives it other addresses than the session's; any other answer takes that back.
    /// Another gateway may have read an older or a newer file: when all that are asked say so, the session has nowhere to go.
    fn note_disowned(&mut self, core: &Core, home: usize, gateway: usize, reason: Reason, now: Time) {
        if !matches!(reason, Reason::PeerRevoked | Reason::PeerChanged) {
            self.disowned.remove(&gateway);
            return;
        }
        if self.takeover.as_ref().is_some_and(|takeover| takeover.planned_until.is_some()) {
            // It is served where it is.
            return;
        }
        self.disowned.insert(gateway, reason);
        let gateways = core.config.gateways.iter().enumerate();
        let mut asked = gateways.filter(|(at, known)| *at == home || known.is_current(now));
        if asked.all(|(at, _)| self.disowned.contains_key(&at)) {
            let changed = self.disowned.values().any(|said| *said == Reason::PeerChanged);
            self.finish(if changed { Reason::PeerChanged } else { Reason::PeerRevoked }, false);
        }
    }
}

/// Sends the request over the path of its cookie, without one over every path to the gateway.
fn send_attempt(core: &mut Core, paths: &Paths, attempt: &Attempt) {
    let message = attempt.initiator.message();
    for path in paths.to_gateway(attempt.terms.gateway).filter(|path| attempt.asks(path)).take(RACE_WIDTH) {
        core.send(path.link.socket, path.remote, |slot| super::birth::copy_into(slot, message));
    }
}

#[cfg(test)]
mod tests;
