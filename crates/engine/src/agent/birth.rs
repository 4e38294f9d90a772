//! Birth of a session on the client's side: handshakes raced over the paths, the first answer wins.
use std::collections::BTreeMap;
use std::time::Duration;

use jumpvpn_events::{BindingState, EventKind, Reason, SessionLabel, Time};
use jumpvpn_policy::{Health, Policy, PostQuantum, SwitchHistory, rank};
use jumpvpn_session::{
    BindingContext, ControlWindow, Established, Initiator, InitiatorConfig, Machine, Side,
};
use jumpvpn_wire::{Cid, GrantedLimits, HS_INIT_LEN, InitPayload, Kind, PathId, RespPayload, features};

use super::keyring::Keyring;
use super::live::{Binding, Channel, Limits, Live, Stage};
use super::watch::Watch;
use super::{Agent, Core, Phase, bare_event};
use crate::Received;
use crate::rtt::ArrivalSpacing;
use crate::sketch::Bucket;

/// The next path joins the race when the one before has not answered within this time: Happy Eyeballs'
/// connection attempt delay (RFC 8305 §5).
const RACE_DELAY: Duration = Duration::from_millis(250);
/// A round is repeated with fresh ephemeral keys after this time without any answer: TCP's initial
/// retransmission timeout (RFC 6298 §2).
const ROUND_TIME: Duration = Duration::from_secs(1);
/// Rounds before the handshake counts as failed; the agent pauses then and tries again.
const ROUND_COUNT: u32 = 5;
/// Rounds for one gateway before the next one of the list is asked: a second one, because a single datagram gets lost.
const ROUNDS_EACH: u32 = 2;
/// Probes per second and at once. The gateway answers ten control messages per second and twenty at once
/// (docs/protocol.md, limits); requests to move need some of them.
const PROBE_RATE: (u32, u32) = (9, 15);
/// Paths raced in one round.
const RACE_WIDTH: usize = 4;

struct Attempt {
    path: u32,
    cid: Cid,
    sent: Time,
    initiator: Initiator,
}

/// A handshake under way.
pub(crate) struct Handshake {
    attempts: Vec<Attempt>,
    /// The path of every attempt so far: those tried least come first in the next round.
    tried: Vec<u32>,
    /// An answer came that could not be accepted.
    rejected: bool,
    round: u32,
    round_ends: Time,
    next_start: Time,
}

impl Handshake {
    /// When something is to be done.
    pub fn next_due(&self) -> Time {
        self.next_start.min(self.round_ends)
    }

    /// The links changed: let the next path start now.
    pub fn hurry(&mut self, now: Time) {
        self.next_start = now;
    }
}

impl Agent {
    /// Starts a handshake if any path is up.
    pub(super) fn begin_handshake(&mut self, now: Time) {
        // The preferred one first, however the last session ended.
        if !self.turn_to(0, now) {
            self.phase = Phase::Waiting { until: Time::MAX };
            return;
        }
        self.handshakes += 1;
        let kind = EventKind::Handshake { attempt: self.handshakes };
        self.core.event(bare_event(Reason::HandshakeStarted, kind, now));
        self.phase = Phase::Handshaking(Box::new(Handshake {
            attempts: Vec::with_capacity(RACE_WIDTH),
            tried: Vec::new(),
            rejected: false,
            round: 0,
            round_ends: now + ROUND_TIME,
            next_start: now,
        }));
        self.handshake_due(now);
    }

    /// Timers of the handshake.
    pub(super) fn handshake_due(&mut self, now: Time) {
        let Phase::Handshaking(handshake) = &mut self.phase else { return };
        if handshake.round_ends <= now {
            handshake.round += 1;
            handshake.attempts.clear();
            handshake.round_ends = now + ROUND_TIME;
            handshake.next_start = now;
            let round = handshake.round;
            if round == ROUND_COUNT.max(ROUNDS_EACH * self.core.config.gateways.len() as u32) {
                return self.give_up_handshake(now);
            }
            if round.is_multiple_of(ROUNDS_EACH) {
                self.turn_to(self.paths.home() + 1, now);
            }
        }
        let Phase::Handshaking(handshake) = &mut self.phase else { return };
        if handshake.next_start <= now {
            handshake.next_start = now + RACE_DELAY;
            self.start_attempt(now);
        }
    }

    /// Makes the first gateway from `index` on to which a link leads the one that is asked. Whether there is one.
    fn turn_to(&mut self, index: usize, now: Time) -> bool {
        let count = self.core.config.gateways.len();
        let gateways = &self.core.config.gateways;
        let reached = |gateway: &usize| {
            gateways[*gateway].is_current(now) && self.paths.to_gateway(*gateway).next().is_some()
        };
        let found = (0..count).map(|step| (index + step) % count).find(reached);
        if let Some(gateway) = found {
            self.paths.set_home(gateway, now);
        }
        found.is_some()
    }

    fn give_up_handshake(&mut self, now: Time) {
        let kind = EventKind::Handshake { attempt: self.handshakes };
        // Silence and another key are different things to whoever has to find out. An answer can be forged, which costs
        // nothing but this word.
        let rejected = matches!(&self.phase, Phase::Handshaking(handshake) if handshake.rejected);
        let reason = if rejected { Reason::HandshakeRejected } else { Reason::HandshakeTimeout };
        self.core.event(bare_event(reason, kind, now));
        self.wait(now);
    }

    /// Sends HS_INIT over the best path that is not in the race yet.
    fn start_attempt(&mut self, now: Time) {
        let Phase::Handshaking(handshake) = &mut self.phase else { return };
        let policy = &self.core.config.policy;
        let views: Vec<_> = self
            .paths
            .iter()
            .filter(|path| path.up)
            .map(|path| path.view(0, 0, Duration::ZERO, now))
            .collect();
        let raced = |key: u32| handshake.attempts.iter().any(|attempt| attempt.path == key);
        let times = |key: &u32| handshake.tried.iter().filter(|tried| *tried == key).count();
        let ranked = rank(policy, now, &views).into_iter().map(|rank| rank.id);
        let next = ranked.filter(|key| !raced(*key)).min_by_key(times);
        let Some(path) =
            next.and_then(|key| self.paths.by_key(key)).filter(|_| handshake.attempts.len() < RACE_WIDTH)
        else {
            handshake.next_start = handshake.round_ends;
            return;
        };
        let cid = Cid(self.core.rng.next_u64());
        let mut random = [0; 16];
        self.core.rng.fill_bytes(&mut random);
        let gateway = &self.core.config.gateways[self.paths.home()];
        let pq = crate::pq_features(policy.security.pq);
        let config = InitiatorConfig {
            private: &self.core.config.private,
            gateway: &gateway.public,
            psk: gateway.psk.as_ref(),
            suites: self.core.config.suites,
            cid,
            payload: InitPayload { features: pq, policy: 0, lanes: 1, lifetime_s: 0, random },
        };
        let mut out = [0; HS_INIT_LEN];
        match Initiator::start(config, &mut *self.core.rng, &mut out) {
            Ok(initiator) => {
                handshake.attempts.push(Attempt { path: path.key, cid, sent: now, initiator });
                handshake.tried.push(path.key);
                let (socket, remote) = (path.link.socket, path.remote);
                self.core.send(socket, remote, |slot| copy_into(slot, &out));
            }
            Err(_) => self.core.counters.drops.record(Reason::BadHandshake),
        }
    }

    /// HS_RETRY and HS_RESP. A forged answer never destroys an attempt.
    pub(super) fn handle_handshake(
        &mut self,
        path: u32,
        kind: Kind,
        datagram: &[u8],
        now: Time,
    ) -> Result<Received, Reason> {
        let Phase::Handshaking(handshake) = &mut self.phase else { return Err(Reason::UnknownType) };
        let cid = datagram.get(4..12).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        let found = handshake
            .attempts
            .iter()
            .position(|attempt| attempt.path == path && Some(attempt.cid.0) == cid)
            .ok_or(Reason::UnknownCid)?;
        if kind == Kind::HsRetry {
            let mut out = [0; HS_INIT_LEN];
            let attempt = &mut handshake.attempts[found];
            attempt.initiator.handle_retry(datagram, &mut out).map_err(|_| Reason::BadCookie)?;
            attempt.sent = now;
            if let Some(path) = self.paths.by_key(path) {
                let (socket, remote) = (path.link.socket, path.remote);
                self.core.send(socket, remote, |slot| copy_into(slot, &out));
            }
            return Ok(Received::Consumed);
        }
        let Attempt { path, cid, sent, initiator } = handshake.attempts.swap_remove(found);
        match initiator.handle_response(datagram) {
            Ok((established, payload)) => {
                self.establish(path, established, &payload, sent, now)?;
                Ok(Received::Consumed)
            }
            Err((initiator, _)) => {
                handshake.attempts.push(Attempt { path, cid, sent, initiator: *initiator });
                handshake.rejected = true;
                Err(Reason::BadHandshake)
            }
        }
    }

    fn establish(
        &mut self,
        path: u32,
        established: Established,
        payload: &RespPayload,
        sent: Time,
        now: Time,
    ) -> Result<(), Reason> {
        let gateway_pq = payload.features & features::PQ != 0;
        let pq = self.core.config.policy.security.pq;
        if pq == PostQuantum::Required && !gateway_pq {
            let kind = EventKind::Handshake { attempt: self.handshakes };
            self.core.event(bare_event(Reason::PqRequired, kind, now));
            self.wait(now);
            return Err(Reason::PqRequired);
        }
        self.paths.begin_session(path, PathId(0), payload.token);
        if let Some(path) = self.paths.by_key_mut(path) {
            path.rtt.update(now.since(sent));
            path.note_alive(&self.core.config.policy, now);
        }
        let binding = self.birth_binding(path, &established, payload, now)?;
        self.core.config.policy = stricter(&self.core.own_policy, &payload.limits);
        let hybrid = pq != PostQuantum::Off && gateway_pq;
        let mut live = Box::new(new_live(established, payload, binding, hybrid, now));
        live.early_uplink = self.core.config.policy.switching.early_uplink;
        live.confirm(&mut self.core, &self.paths, now);
        self.phase = Phase::Live(live);
        Ok(())
    }

    fn birth_binding(
        &self,
        path: u32,
        established: &Established,
        payload: &RespPayload,
        now: Time,
    ) -> Result<Binding, Reason> {
        let label = self.paths.by_key(path).ok_or(Reason::NoUsablePath)?.label;
        let context = established.epoch(payload);
        let traffic = established.secret.binding(&context, &BindingContext::birth(), Side::Client);
        Ok(Binding {
            path,
            path_id: PathId(0),
            label,
            context: BindingContext::birth(),
            channel: Channel { traffic, local_cid: established.local_cid, peer_cid: established.peer_cid },
            previous: None,
            spacing: ArrivalSpacing::default(),
            heard: now,
        })
    }
}

/// Our policy under the limits that the gateway enforces anyway: asking for more would only be refused.
pub(super) fn stricter(own: &Policy, granted: &GrantedLimits) -> Policy {
    let mut policy = own.clone();
    let switching = &mut policy.switching;
    switching.max_switches_per_min = switching.max_switches_per_min.min(granted.max_switches_per_min.max(1));
    let cooldown = Duration::from_millis(u64::from(granted.cooldown_ms));
    switching.switch_cooldown = switching.switch_cooldown.max(cooldown);
    policy
}

fn new_live(
    established: Established,
    payload: &RespPayload,
    active: Binding,
    hybrid: bool,
    now: Time,
) -> Live {
    let epoch = established.epoch(payload);
    let control = established.secret.control(&epoch);
    let keyring = Keyring::new(established.secret.credentials(&epoch), epoch.owner_epoch);
    Live {
        label: SessionLabel(established.sid.0),
        epoch,
        secret: established.secret,
        control,
        epoch_since: now,
        previous_control: None,
        window: ControlWindow::new(),
        cseq: 0,
        told_epoch: epoch.owner_epoch,
        owner_since: 0,
        version: 1,
        keyring,
        takeover: None,
        disowned: BTreeMap::new(),
        claim: None,
        machine: Machine::new(),
        history: SwitchHistory::new(),
        active,
        retiring: None,
        pending: None,
        intent: None,
        lapsed: None,
        stage: Stage::Confirming { hybrid },
        stage_retry: now,
        stage_attempts: 0,
        inner_v4: None,
        inner_v6: None,
        mtu: payload.mtu,
        limits: Limits::granted(&payload.limits),
        reset_token: payload.reset_token,
        token_config: payload.token_config,
        tokens: Vec::new(),
        probe_budget: Bucket::new(PROBE_RATE.0, PROBE_RATE.1),
        last_token: payload.token,
        next_path_id: 1,
        passed_over: 0,
        rekey: None,
        rekey_at: now,
        // The first one makes the keys hybrid: nothing was wrong with them.
        rekey_reason: Reason::RekeyComplete,
        watch: Watch::new(now),
        heartbeat_seq: 0,
        born: now,
        recovering_since: None,
        recovery_attempts: 0,
        next_recovery: None,
        degraded_since: None,
        next_choice: now,
        denied_until: None,
        jumps: 0,
        last_jump: None,
        pinned: None,
        early_uplink: false,
        rebind_hinted: false,
        listing: super::listing::Listing::default(),
        end: None,
    }
}

/// The confirmation is repeated after 100 ms, then doubling.
pub(super) const CONFIRM_PAUSE: Duration = Duration::from_millis(100);
/// Repetitions before the birth counts as failed: 100 ms + 200 ms + … + 6.4 s, longer than the gateway keeps the
/// answered handshake.
const CONFIRM_ATTEMPTS: u32 = 7;

impl Live {
    /// Sends the confirmation, again and again until CONFIG comes.
    pub(super) fn confirm(&mut self, core: &mut Core, paths: &super::Paths, now: Time) {
        use jumpvpn_wire::Frame;
        if self.stage_attempts == CONFIRM_ATTEMPTS {
            return self.finish(Reason::HandshakeTimeout, false);
        }
        self.stage_retry = now + CONFIRM_PAUSE * (1 << self.stage_attempts);
        self.stage_attempts += 1;
        self.send_frames(core, paths, &[Frame::Fin, Frame::Want { tokens: 8, config: true }]);
    }

    /// CONFIG has come, and the hybrid epoch if one is wanted: user packets may flow.
    pub(super) fn ready(&mut self, core: &mut Core, paths: &mut super::Paths, now: Time) {
        self.stage = Stage::Ready;
        let reason = Reason::BirthComplete;
        self.transition(core, jumpvpn_session::Trigger::BirthComplete, reason, now);
        let (key, path) = (self.active.path, self.active.label);
        self.set_binding(core, paths, key, BindingState::Active, reason, now);
        self.event(core, reason, EventKind::SessionBirth { path }, now);
        core.notice(super::Notice::TunnelUp { v4: self.inner_v4, v6: self.inner_v6, mtu: self.mtu });
        self.watch = Watch::new(now);
        self.begin_listing(core, now);
        self.rekey_at = self.next_rekey(core, now);
        self.rekey_reason = Reason::RekeyTimer;
        for path in paths.iter_mut().filter(|path| path.up) {
            path.next_probe = now;
            if path.key != key {
                path.health = Health::Unproven;
            }
        }
        // Tells us under which outer address the gateway sees us, so that a rebinding is noticed at once.
        self.send_probe(core, paths, key, super::probe::ProbeOrder::default(), now);
    }
}

/// Copies a finished datagram into an outbox slot.
pub(super) fn copy_into(slot: &mut [u8], datagram: &[u8]) -> Option<usize> {
    slot[..datagram.len()].copy_from_slice(datagram);
    Some(datagram.len())
}
