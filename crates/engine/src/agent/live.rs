//! A live session on the agent's side: its keys, its bindings, and how it sends.
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use jumpvpn_events::{BindingState, Event, EventKind, PathLabel, Reason, SessionLabel, State, Time};
use jumpvpn_policy::SwitchHistory;
use jumpvpn_session::{
    BindingContext, ControlKeys, ControlWindow, EpochContext, EpochSecret, Machine, Traffic, Trigger,
};
use jumpvpn_wire::{Cid, Frame, GrantedLimits, PathId, ReceiveReport, ResetToken, RouteToken};

use super::claim::Claim;
use super::jump::{Intent, PendingJump};
use super::keyring::Keyring;
use super::listing::Listing;
use super::path::Paths;
use super::rekey::RekeyInFlight;
use super::takeover::Takeover;
use super::watch::Watch;
use super::{Core, LastJump};
use crate::rejection::Stamp;
use crate::rtt::ArrivalSpacing;
use crate::sketch::Bucket;
use crate::{Transmit, seal_frames};

/// Keys and ids of one binding in one key epoch.
pub(crate) struct Channel {
    pub traffic: Traffic,
    /// On packets to us.
    pub local_cid: Cid,
    /// On packets to the gateway.
    pub peer_cid: Cid,
}

/// A binding as the client holds it.
pub(crate) struct Binding {
    /// Key of the path it stands on.
    pub path: u32,
    pub path_id: PathId,
    pub label: PathLabel,
    pub context: BindingContext,
    pub channel: Channel,
    /// The channel of the key epoch before, still opened until the time beside it.
    pub previous: Option<(Channel, Time)>,
    /// Arrivals of user packets.
    pub spacing: ArrivalSpacing,
    /// Last authentic packet, or when it was bound.
    pub heard: Time,
}

impl Binding {
    /// What was received under it.
    pub fn report(&self, now: Time) -> ReceiveReport {
        let recv = &self.channel.traffic.recv;
        let silent = now.since(self.heard);
        ReceiveReport {
            path_id: self.path_id.0,
            highest: recv.highest().unwrap_or(0),
            received: recv.received_count(),
            silent_us: u32::try_from(silent.as_micros()).unwrap_or(u32::MAX),
        }
    }
}

/// How far the session is from carrying user packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// FIN was sent, CONFIG is awaited; a `hybrid` key epoch follows.
    Confirming { hybrid: bool },
    /// The first hybrid key epoch is awaited.
    Hardening,
    /// User packets flow.
    Ready,
    /// Another gateway has agreed to go on; whether it owns the session is not proven yet.
    Claiming,
}

/// Why and how a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub reason: Reason,
    /// The gateway has committed the end too (it said so, or was asked to).
    pub committed: bool,
}

/// Limits the gateway named at birth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub lifetime: Duration,
    pub idle_ttl: Duration,
    pub ticket_age: Duration,
}

impl Limits {
    /// In the units in which a gateway names them.
    pub fn granted(limits: &GrantedLimits) -> Limits {
        Limits {
            lifetime: Duration::from_secs(u64::from(limits.lifetime_s)),
            idle_ttl: Duration::from_millis(u64::from(limits.idle_ttl_ms)),
            ticket_age: Duration::from_millis(u64::from(limits.ticket_age_ms)),
        }
    }
}

/// A session between birth and end.
pub(crate) struct Live {
    pub label: SessionLabel,
    pub epoch: EpochContext,
    pub secret: EpochSecret,
    pub control: ControlKeys,
    pub epoch_since: Time,
    /// Control keys of the epoch before: (epoch, keys, until).
    pub previous_control: Option<(u32, ControlKeys, Time)>,
    pub window: ControlWindow,
    pub cseq: u64,
    /// Owner epoch of the last commit.
    pub told_epoch: u64,
    /// Our last control message before the present owner proved itself.
    pub owner_since: u64,
    pub version: u64,
    pub keyring: Keyring,
    pub takeover: Option<Box<Takeover>>,
    /// Gateways that will not have the session again, with what they said since one served it last.
    pub disowned: BTreeMap<usize, Reason>,
    pub claim: Option<Box<Claim>>,
    pub machine: Machine,
    pub history: SwitchHistory,
    pub active: Binding,
    pub retiring: Option<Box<(Binding, Time)>>,
    pub pending: Option<Box<PendingJump>>,
    pub intent: Option<Intent>,
    /// The request that was given up last, while the gateway may still commit it.
    pub lapsed: Option<(Box<PendingJump>, Time)>,
    pub stage: Stage,
    pub stage_retry: Time,
    pub stage_attempts: u32,
    pub inner_v4: Option<(Ipv4Addr, u8)>,
    pub inner_v6: Option<(Ipv6Addr, u8)>,
    pub mtu: u16,
    pub limits: Limits,
    pub reset_token: ResetToken,
    pub token_config: u8,
    pub tokens: Vec<RouteToken>,
    /// What probes may be sent: less than the gateway answers.
    pub probe_budget: Bucket,
    /// The token used last: without any the session could not be asked for on any path.
    pub last_token: RouteToken,
    pub next_path_id: u32,
    /// Candidates beyond the policy's limit when that was told last.
    pub passed_over: usize,
    pub rekey: Option<Box<RekeyInFlight>>,
    pub rekey_at: Time,
    /// Why the next rekey will be.
    pub rekey_reason: Reason,
    pub watch: Watch,
    pub heartbeat_seq: u32,
    pub born: Time,
    /// When trying to get back onto a path began.
    pub recovering_since: Option<Time>,
    pub recovery_attempts: u32,
    pub next_recovery: Option<Time>,
    pub degraded_since: Option<Time>,
    pub next_choice: Time,
    /// Until when the policy has denied moves.
    pub denied_until: Option<Time>,
    pub jumps: u32,
    pub last_jump: Option<LastJump>,
    pub pinned: Option<u32>,
    /// Policy `switching.early_uplink`.
    pub early_uplink: bool,
    /// The gateway hinted that our address changed; the next ticket of the active path says to what.
    pub rebind_hinted: bool,
    /// The list of gateways that is being pulled.
    pub listing: Listing,
    pub end: Option<End>,
}

impl Live {
    /// Next sequence number of a control message.
    pub fn next_cseq(&mut self) -> u64 {
        self.cseq += 1;
        self.cseq
    }

    /// Where the session stands, for an event about it.
    pub fn stamp(&self) -> Stamp {
        Stamp { label: self.label, step: self.machine.step(), epoch: self.told_epoch, version: self.version }
    }

    /// An event of the session as it stands now.
    pub fn event(&self, core: &mut Core, reason: Reason, kind: EventKind, now: Time) {
        let Stamp { label, step, epoch, version } = self.stamp();
        core.event(Event { at: now, session: Some(label), step, epoch, version, reason, kind });
    }

    /// One step of the state machine, counted and evented.
    pub fn transition(&mut self, core: &mut Core, trigger: Trigger, reason: Reason, now: Time) {
        match self.machine.apply(trigger) {
            Ok(step) => {
                core.counters.transitions.record(step.from, step.to);
                self.event(core, reason, EventKind::StateChange { from: step.from, to: step.to }, now);
            }
            Err(_) => core.counters.drops.record(Reason::StateForbidden),
        }
    }

    /// Whether the session has never carried user packets.
    pub fn is_newborn(&self) -> bool {
        matches!(self.stage, Stage::Confirming { .. } | Stage::Hardening)
    }

    /// Where the state machine stands.
    pub fn state(&self) -> State {
        self.machine.state()
    }

    /// Notes a change of a path's place in the binding life cycle.
    pub fn set_binding(
        &self,
        core: &mut Core,
        paths: &mut Paths,
        key: u32,
        binding: BindingState,
        reason: Reason,
        now: Time,
    ) {
        let Some(path) = paths.by_key_mut(key).filter(|path| path.binding != binding) else { return };
        path.binding = binding;
        let kind = EventKind::PathState { path: path.label, binding, rtt: path.rtt.smoothed() };
        self.event(core, reason, kind, now);
    }

    /// The binding that user packets leave by: the pending one once the old path is given up, else the active.
    pub fn outbound(&mut self) -> &mut Binding {
        match &mut self.pending {
            Some(pending) if pending.early => &mut pending.binding,
            _ => &mut self.active,
        }
    }

    /// Sends frames under the binding user packets leave by.
    pub fn send_frames(&mut self, core: &mut Core, paths: &Paths, frames: &[Frame<'_>]) {
        let binding = self.outbound();
        let Some(path) = paths.by_key(binding.path) else { return };
        let (cid, send) = (binding.channel.peer_cid, &mut binding.channel.traffic.send);
        core.send(path.link.socket, path.remote, |buffer| seal_frames(buffer, cid, send, frames));
    }

    /// Seals a user packet in place.
    pub fn seal(&mut self, paths: &Paths, buffer: &mut [u8], now: Time) -> Result<Transmit, Reason> {
        // While a cold jump away from a dead path waits for its ticket, packets of the old binding already leave by
        // the new path: they are authentic, they are delivered, and they move nothing.
        let early = self.intent.filter(|intent| self.early_uplink && intent.leaves_a_dead_path());
        let binding = self.outbound();
        let via = early.map_or(binding.path, |intent| intent.to);
        let path = paths.by_key(via).ok_or(Reason::NoUsablePath)?;
        let cid = binding.channel.peer_cid;
        binding.channel.traffic.send.seal(cid, 0, buffer).map_err(|_| Reason::AeadLimit)?;
        let position = binding.channel.traffic.send.next_position();
        let (socket, destination) = (path.link.socket, path.remote);
        self.watch.note_sent(position, now);
        Ok(Transmit { socket, destination, source: None, len: buffer.len() })
    }

    /// Ends the session; the first reason counts.
    pub fn finish(&mut self, reason: Reason, committed: bool) {
        self.end.get_or_insert(End { reason, committed });
    }
}
