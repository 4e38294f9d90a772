//! What a gateway knows about one session.
use std::mem::offset_of;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jumpvpn_events::{PathLabel, Reason, SessionLabel, State, Time};
use jumpvpn_ownership::{Expected, Fence, Incarnation, Moves, RequestId};
use jumpvpn_policy::SwitchHistory;
use jumpvpn_prefetch as prefetch;
use jumpvpn_session::{
    AeadKey, BindingContext, ControlKeys, ControlWindow, EpochContext, EpochSecret, Machine, RebindCheck,
    RekeyReassembly, Traffic, TrafficReceiver,
};
use jumpvpn_wire::{Cid, Handle, PathId, ResultPayload, TransportClass};

use super::From;
use super::birth::path_label;
use crate::SocketKey;
use crate::rejection::Stamp;
use crate::rtt::ArrivalSpacing;
use crate::sketch::Bucket;

/// Probes, and likewise requests to move, of one session after authentication: 10 per second, 20 at once
/// (docs/protocol.md, limits). Each kind has a bucket of its own, so that neither can starve the other.
const CONTROL_RATE: (u32, u32) = (10, 20);
/// Answers to a REATTACH that came from another address than it names: it may be a copy that is sent again and
/// again, because its sequence number is not consumed.
const MISMATCH_RATE: (u32, u32) = (1, 2);
/// Frames that are answered: 20 pings per second are the most a suspicion sends, each with room to spare.
const FRAME_RATE: (u32, u32) = (100, 50);
/// Key exchanges that are answered: public-key work, one per 2 s, three at once (a birth and its repetitions).
const REKEY_PERIOD: Duration = Duration::from_secs(2);
const REKEY_BURST: u32 = 3;
/// Rebind hints: two per second (docs/protocol.md, REBIND_HINT).
const HINT_RATE: (u32, u32) = (2, 2);
/// Openings of DATA from foreign addresses: 64 per second may fail (docs/protocol.md, early uplink).
const FOREIGN_RATE: (u32, u32) = (64, 64);
/// Sealed rejects: one per second once the control bucket is empty.
const REJECT_RATE: (u32, u32) = (1, 1);

/// Keys and ids of one binding in one key epoch.
pub(crate) struct Channel {
    pub traffic: Traffic,
    /// On packets to us.
    pub local_cid: Cid,
    /// On packets to the client.
    pub peer_cid: Cid,
}

/// A committed binding. What a packet touches comes first.
#[repr(C)]
pub(crate) struct Binding {
    /// Where the client accepted to be reached.
    pub address: SocketAddr,
    pub socket: SocketKey,
    /// Our own address the client talks to.
    pub local: IpAddr,
    /// Reports of silence sent since the last user packet.
    pub silence_reports: u32,
    /// Last authentic datagram, from wherever.
    pub heard: Time,
    /// Last authentic datagram from `address`.
    pub heard_at_address: Time,
    /// Arrivals of user packets.
    pub spacing: ArrivalSpacing,
    pub channel: Channel,
    pub path_id: PathId,
    pub label: PathLabel,
    pub class: TransportClass,
    pub context: BindingContext,
}

/// Secrets of one key epoch.
#[repr(C)]
pub(crate) struct Epoch {
    pub since: Time,
    pub context: EpochContext,
    pub secret: EpochSecret,
    pub control: ControlKeys,
}

impl Epoch {
    /// Derives the control keys of `secret`.
    pub fn new(context: EpochContext, secret: EpochSecret, since: Time) -> Epoch {
        let control = secret.control(&context);
        Epoch { context, secret, control, since }
    }
}

/// The epoch that was answered but that the client has not yet confirmed.
pub(crate) struct NextEpoch {
    pub epoch: Epoch,
    pub channel: Channel,
    /// Where the request stood in the client's numbering: an older one that was held back does not displace it.
    pub asked_at: (Cid, u64),
    /// The request and our answer to it, so that a repeated request gets the same answer.
    pub request: Box<[u8]>,
    pub response: Box<[u8]>,
    /// Whether the answer may be sent: the store has the epoch's credentials.
    pub stored: bool,
    /// Forgotten at this time if still unconfirmed.
    pub until: Time,
}

/// What is left of the epoch before: it still opens what was on its way, until `until`, and seals nothing.
pub(crate) struct PreviousEpoch {
    pub number: u32,
    pub control: AeadKey,
    pub recv: TrafficReceiver,
    pub local_cid: Cid,
    pub until: Time,
}

/// What is left of the binding before: it still opens what was on its way, until `until`, and seals nothing.
pub(crate) struct RetiringBinding {
    pub label: PathLabel,
    pub recv: TrafficReceiver,
    pub local_cid: Cid,
    /// Last authentic datagram while it was the binding.
    pub heard: Time,
    pub until: Time,
}

/// The result of the last commit, kept for a byte-identical repetition of its request.
pub(crate) struct CachedResult {
    pub cseq: u64,
    pub payload: ResultPayload,
    pub repeats_left: u8,
}

/// The newest probe, kept to notice that somebody forwards copies.
pub(crate) struct NewestProbe {
    pub cseq: u64,
    pub source: SocketAddr,
    pub at: Time,
    pub copy_answered: bool,
}

/// Rate limits of one session behind authentication.
pub(crate) struct Buckets {
    pub probe: Bucket,
    pub reattach: Bucket,
    pub mismatch: Bucket,
    pub frames: Bucket,
    pub rekey: Bucket,
    pub hint: Bucket,
    pub foreign: Bucket,
    pub reject: Bucket,
}

impl Buckets {
    pub fn new() -> Buckets {
        let bucket = |(rate, burst)| Bucket::new(rate, burst);
        Buckets {
            probe: bucket(CONTROL_RATE),
            reattach: bucket(CONTROL_RATE),
            mismatch: bucket(MISMATCH_RATE),
            frames: bucket(FRAME_RATE),
            rekey: Bucket::every(REKEY_PERIOD, REKEY_BURST),
            hint: bucket(HINT_RATE),
            foreign: bucket(FOREIGN_RATE),
            reject: bucket(REJECT_RATE),
        }
    }
}

/// One live session. At most one binding is ACTIVE: `binding` is the only place for it.
///
/// What a packet touches comes first and lies together, because with many sessions each line of memory it touches has
/// to be fetched ([`Session::foresee`]).
#[repr(C, align(64))]
pub(crate) struct Session {
    pub expires: Time,
    pub machine: Machine,
    /// When the session's timer fires.
    pub armed: Time,
    pub inner: [Option<IpAddr>; 2],
    /// User packets wait for the first hybrid key epoch.
    pub pq_required: bool,
    /// It is being given to another gateway, or ended: nothing passes until the store has answered.
    pub frozen: bool,
    pub binding: Binding,
    pub epoch: Epoch,
    pub handle: Handle,
    pub label: SessionLabel,
    pub peer: usize,
    pub version: u64,
    /// What the store holds.
    pub stored: Expected,
    /// The change of its record that the store has not answered; one at a time.
    pub writing: Option<RequestId>,
    /// Who asked for the session while that was under way.
    pub wanted_by: Option<Incarnation>,
    /// Why it ends, if it is still ours when the store has answered.
    pub end_wanted: Option<Reason>,
    /// We have asked its client to go to another gateway.
    pub advised: bool,
    /// It has changed its gateway before.
    pub moved: bool,
    pub next: Option<Box<NextEpoch>>,
    pub previous: Option<Box<PreviousEpoch>>,
    /// Parts of a key exchange; only while one is incomplete.
    pub reassembly: Option<Box<RekeyReassembly>>,
    pub window: ControlWindow,
    /// Highest `cseq` whose request took effect or was refused for its meaning.
    pub watermark: u64,
    pub sseq: u64,
    pub retiring: Option<Box<RetiringBinding>>,
    pub cached: Option<CachedResult>,
    pub rebind: Option<RebindCheck>,
    pub newest_probe: Option<NewestProbe>,
    pub buckets: Buckets,
    pub history: SwitchHistory,
    /// Round trip as the client last reported it.
    pub client_rtt: Option<Duration>,
    pub switches: u32,
    pub born: Time,
    pub heartbeat_seq: u32,
}

/// What a session begins with here: at its birth, or when it is taken over.
pub(crate) struct Beginning {
    pub handle: Handle,
    pub peer: usize,
    pub inner: [Option<IpAddr>; 2],
    pub context: EpochContext,
    pub secret: EpochSecret,
    pub binding: BindingContext,
    pub traffic: Traffic,
    pub local_cid: Cid,
    pub peer_cid: Cid,
    pub from: From,
    pub stored: Expected,
    pub born: Time,
    pub expires: Time,
    pub moved: bool,
}

/// What a session has moved elsewhere. Clocks of machines differ: nothing was in the future.
pub(super) fn carried(moves: &Moves, now: Time) -> SwitchHistory {
    SwitchHistory::carried(moves.times().rev().map(|at| at.min(now)))
}

impl Session {
    /// What is told of its moves to the owner after us.
    pub fn moves(&self) -> Moves {
        Moves::of(self.history.carry())
    }

    /// A session on its first binding here.
    pub fn begin(beginning: Beginning, pq_required: bool, now: Time) -> Box<Session> {
        let from = beginning.from;
        let path_id = beginning.binding.path_id;
        let binding = Binding {
            path_id,
            label: path_label(path_id),
            class: TransportClass::Udp,
            address: from.source,
            socket: from.socket,
            local: from.local,
            context: beginning.binding,
            channel: Channel {
                traffic: beginning.traffic,
                local_cid: beginning.local_cid,
                peer_cid: beginning.peer_cid,
            },
            spacing: ArrivalSpacing::default(),
            heard: now,
            heard_at_address: now,
            silence_reports: 0,
        };
        Box::new(Session {
            handle: beginning.handle,
            label: SessionLabel(beginning.context.sid.0),
            peer: beginning.peer,
            inner: beginning.inner,
            machine: Machine::new(),
            version: beginning.stored.version,
            stored: beginning.stored,
            writing: None,
            wanted_by: None,
            end_wanted: None,
            frozen: false,
            advised: false,
            moved: beginning.moved,
            epoch: Epoch::new(beginning.context, beginning.secret, now),
            next: None,
            previous: None,
            reassembly: None,
            window: ControlWindow::new(),
            watermark: 0,
            sseq: 0,
            binding,
            retiring: None,
            cached: None,
            rebind: None,
            newest_probe: None,
            buckets: Buckets::new(),
            history: SwitchHistory::new(),
            client_rtt: None,
            switches: 0,
            born: beginning.born,
            expires: beginning.expires,
            heartbeat_seq: 0,
            armed: now,
            pq_required,
        })
    }

    /// Fetches the lines that a packet touches: from the beginning to the keys of the binding, and those of the key epoch
    /// that say how old it is and by which suite.
    pub fn foresee(&self) {
        prefetch::lines(self, offset_of!(Session, binding) + offset_of!(Binding, path_id));
        prefetch::line(&self.epoch.since);
    }

    /// Owner epoch under which this session is served.
    pub fn owner_epoch(&self) -> u64 {
        self.epoch.context.owner_epoch
    }

    /// Where the session stands, for an event about it.
    pub fn stamp(&self) -> Stamp {
        Stamp {
            label: self.label,
            step: self.machine.step(),
            epoch: self.owner_epoch(),
            version: self.version,
        }
    }

    /// Next sequence number of a control reply.
    pub fn next_sseq(&mut self) -> u64 {
        self.sseq += 1;
        self.sseq
    }

    /// Last authentic datagram on the binding.
    pub fn last_heard(&self) -> Time {
        self.binding.heard
    }

    /// Whether this instance may act for the session now.
    ///
    /// # Errors
    /// `SESSION_EXPIRED` once terminated or past its lifetime, `FENCE_EXPIRED` without a valid fence, `HANDOFF_PENDING`
    /// while it is being given to another gateway.
    pub fn check_right(&self, fence: &Fence, now: Time) -> Result<(), Reason> {
        if self.machine.state() == State::Terminated || now >= self.expires {
            return Err(Reason::SessionExpired);
        }
        if now >= fence.valid_until {
            return Err(Reason::FenceExpired);
        }
        if self.frozen {
            let ends = self.end_wanted.is_some();
            return Err(if ends { Reason::SessionExpired } else { Reason::HandoffPending });
        }
        Ok(())
    }

    /// Takes the client's round trip in, if it names one. What depends on it is bounded: at most 2 s, more than any
    /// path people can work over.
    pub fn learn_rtt(&mut self, micros: u32) {
        if micros > 0 {
            self.client_rtt = Some(Duration::from_micros(u64::from(micros)).min(Duration::from_secs(2)));
        }
    }

    /// Round trip to judge by: the client's figure, 100 ms where it has none yet (a cautious wide-area value;
    /// only the length of holds and drains depends on it).
    pub fn rtt(&self) -> Duration {
        self.client_rtt.unwrap_or(Duration::from_millis(100))
    }
}
