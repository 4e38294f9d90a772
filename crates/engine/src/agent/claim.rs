//! Another gateway has agreed to go on with the session: from the answer to the proof that it owns it.
//!
//! With the confirmation (FIN) under the new owner epoch every traffic and control key of the old one is erased, so this
//! client never talks to two owners. The credentials stay: the gateway may die before its store has agreed, and then
//! the next one is asked with them. The first authentic packet under the new keys is the proof.
use std::time::Duration;

use jumpvpn_events::{BindingState, EventKind, PathLabel, Reason, State, Time};
use jumpvpn_policy::{Health, PostQuantum};
use jumpvpn_session::{ControlWindow, HandshakeError, Side, TakenOver, TakeoverRefusals, Trigger};
use jumpvpn_wire::{Frame, TakeoverRefusal, TakeoverRespPayload, features};

use super::birth::{CONFIRM_PAUSE, stricter};
use super::keyring::Keyring;
use super::live::{Binding, Channel, Limits, Live, Stage};
use super::path::Paths;
use super::probe::ProbeOrder;
use super::rekey::MIN_INTERVAL;
use super::takeover::Cause;
use super::watch::Watch;
use super::{Core, LastJump};
use crate::rtt::ArrivalSpacing;

/// Confirmations sent: at once, after 100, 300, 700 and 1500 ms. The claim counts as failed after 3.1 s: a gateway may
/// wait for two seconds until the owner before it has let go.
const FIN_COUNT: u32 = 5;

/// When new keys are asked for after a takeover: as soon as the gateway takes a request, and spread over as long again,
/// because it may have taken over many at once.
fn soon(core: &mut Core, now: Time) -> Time {
    let share = u32::from(core.random::<1>()[0]);
    now + MIN_INTERVAL + MIN_INTERVAL * share / 255
}

/// What was agreed, and where.
pub(super) struct Agreed {
    pub gateway: usize,
    /// Key of the path.
    pub path: u32,
    pub refusals: TakeoverRefusals,
    pub reason: Reason,
    /// The number of the credentials that it was asked for with.
    pub base: u64,
}

/// A takeover that waits for its proof.
pub(crate) struct Claim {
    agreed: Agreed,
    /// Key epoch of the credentials used.
    n: u32,
    /// Its place in the keyring.
    serial: u64,
    payload: TakeoverRespPayload,
    /// Where the session was.
    from: PathLabel,
    /// When the owner before was heard last.
    heard: Time,
}

impl Live {
    /// Takes the new keys, erases the old ones, and confirms.
    pub(super) fn claim(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        agreed: Agreed,
        taken: TakenOver,
        payload: TakeoverRespPayload,
        now: Time,
    ) {
        let Some(label) = paths.by_key(agreed.path).map(|path| path.label) else { return };
        let (from, heard) = match self.claim.take() {
            Some(before) => (before.from, before.heard),
            None => (self.active.label, self.active.heard),
        };
        self.set_binding(core, paths, self.active.path, BindingState::Gone, Reason::PathRetired, now);
        if self.state() != State::Recovering {
            self.transition(core, Trigger::JumpStarted, agreed.reason, now);
        }
        let TakenOver { secret, context, binding, local_cid, peer_cid } = taken;
        let traffic = secret.binding(&context, &binding, Side::Client);
        let n = context.n - 1;
        let serial = self.keyring.push(agreed.base, secret.credentials(&context), context.owner_epoch);
        self.drop_old_keys();
        self.active = Binding {
            path: agreed.path,
            path_id: binding.path_id,
            label,
            context: binding,
            channel: Channel { traffic, local_cid, peer_cid },
            previous: None,
            spacing: ArrivalSpacing::default(),
            // Nothing was heard that counts for the limit without a transport.
            heard: self.active.heard,
        };
        self.control = secret.control(&context);
        (self.epoch, self.secret, self.epoch_since) = (context, secret, now);
        self.window = ControlWindow::new();
        self.watch = Watch::new(now);
        paths.set_home(agreed.gateway, now);
        paths.begin_session(agreed.path, self.active.path_id, payload.token);
        (self.stage, self.stage_attempts) = (Stage::Claiming, 0);
        self.claim = Some(Box::new(Claim { agreed, n, serial, payload, from, heard }));
        self.run_claim(core, paths, now);
    }

    /// Everything that could still talk to the owner before.
    fn drop_old_keys(&mut self) {
        self.pending = None;
        self.intent = None;
        self.lapsed = None;
        self.retiring = None;
        self.rekey = None;
        self.previous_control = None;
    }

    /// Confirms, and repeats that.
    pub(super) fn run_claim(&mut self, core: &mut Core, paths: &mut Paths, now: Time) {
        if self.stage_attempts == FIN_COUNT {
            return self.claim_failed(core, paths, Reason::GatewaySilent, now);
        }
        self.stage_retry = now + CONFIRM_PAUSE * (1 << self.stage_attempts);
        self.stage_attempts += 1;
        self.send_frames(core, paths, &[Frame::Fin, Frame::Want { tokens: 8, config: true }]);
    }

    /// A refusal that comes after the answer, if it is for the claim that waits: what it says, and the key epoch of the
    /// credentials that were used.
    pub(super) fn refused_claim(
        &self,
        gateway: usize,
        datagram: &[u8],
    ) -> Option<Result<(TakeoverRefusal, u32), HandshakeError>> {
        let claim = self.claim.as_ref().filter(|claim| claim.agreed.gateway == gateway)?;
        Some(claim.agreed.refusals.read(datagram).map(|refusal| (refusal, claim.n)))
    }

    /// The gateway that agreed has not got the session: what was agreed is void.
    pub(super) fn void_claim(&mut self) {
        if let Some(claim) = &self.claim {
            self.keyring.void(claim.serial);
        }
    }

    /// The gateway that agreed says no more. It may still own the session by now, so its first word counts whenever it
    /// comes; meanwhile the others are asked.
    pub(super) fn claim_failed(&mut self, core: &mut Core, paths: &Paths, reason: Reason, now: Time) {
        self.stage_retry = Time::MAX;
        if self.state() == State::Recovering {
            self.transition(core, Trigger::JumpRefused, reason, now);
        }
        self.begin_recovery(now);
        if self.takeover.is_none() {
            self.start_takeover(core, paths, Cause::Unclaimed, now);
        }
    }

    /// An authentic packet under the new keys: the store has agreed, and the session goes on.
    pub(super) fn claim_proven(&mut self, core: &mut Core, paths: &mut Paths, now: Time) {
        let Some(claim) = self.claim.take() else { return };
        let Claim { agreed, payload, from, heard, .. } = *claim;
        self.takeover = None;
        self.stage = Stage::Ready;
        (self.told_epoch, self.version) = (self.epoch.owner_epoch, payload.version);
        self.owner_since = self.cseq;
        self.keyring = Keyring::new(self.secret.credentials(&self.epoch), self.epoch.owner_epoch);
        self.take_terms(core, &payload, now);
        self.begin_listing(core, now);
        let gap = now.since(heard);
        let path = self.active.label;
        self.event(core, agreed.reason, EventKind::Takeover { path, gap: Some(gap) }, now);
        self.set_binding(core, paths, self.active.path, BindingState::Active, agreed.reason, now);
        if self.state() != State::Recovering {
            // Its claim was given up, and its word came all the same.
            self.transition(core, Trigger::JumpStarted, agreed.reason, now);
        }
        self.transition(core, Trigger::JumpCommitted, agreed.reason, now);
        self.last_jump =
            Some(LastJump { from, to: path, reason: agreed.reason, detect: Duration::ZERO, gap, at: now });
        self.end_recovery();
        self.watch = Watch::new(now);
        self.denied_until = None;
        self.pinned = self.pinned.filter(|key| paths.by_key(*key).is_some_and(|path| path.up));
        for path in paths.iter_mut().filter(|path| path.up) {
            path.next_probe = now;
            path.health = Health::Unproven;
        }
        if let Some(path) = paths.by_key_mut(self.active.path) {
            path.note_alive(&core.config.policy, now);
        }
        // Tells us under which outer address the gateway sees us, so that a rebinding is noticed at once.
        self.send_probe(core, paths, self.active.path, ProbeOrder::default(), now);
        core.resending = core.resend.as_ref().map(|ring| ring.cursor(0, heard, now));
    }

    /// What the new owner grants: limits, tokens, and when the keys are to be made hybrid again.
    fn take_terms(&mut self, core: &mut Core, payload: &TakeoverRespPayload, now: Time) {
        core.config.policy = stricter(&core.own_policy, &payload.limits);
        self.limits = Limits::granted(&payload.limits);
        // What is left counts from now, a lifetime from the birth.
        self.limits.lifetime += now.since(self.born);
        self.reset_token = payload.reset_token;
        self.token_config = payload.token_config;
        self.last_token = payload.token;
        self.tokens.clear();
        self.mtu = payload.mtu;
        let hybrid =
            core.config.policy.security.pq != PostQuantum::Off && payload.features & features::PQ != 0;
        // User packets need not wait for it: the resume secret came from an epoch that was hybrid already.
        self.rekey_at = if hybrid { soon(core, now) } else { self.next_rekey(core, now) };
        self.rekey_reason = if hybrid { Reason::RekeyComplete } else { Reason::RekeyTimer };
    }
}
