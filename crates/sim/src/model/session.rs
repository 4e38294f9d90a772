//! What the gateway should know of one session.
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use jumpvpn_events::{SessionLabel, Time};
use jumpvpn_session::{
    BindingContext, ControlKeys, EpochContext, EpochSecret, OpenError, Side, TrafficReceiver,
};
use jumpvpn_wire::{Cid, DataHeader, Handle, PathId};

use super::limits::{Bucket, Window};

/// Numbers told apart: control messages (docs/protocol.md, 10.2) …
pub(super) const CONTROL_REACH: u64 = 128;
/// … and packets.
const DATA_REACH: u64 = 8128;
/// Round trip of a client that has not named one.
const FIRST_RTT: Duration = Duration::from_millis(100);
const LONGEST_RTT: Duration = Duration::from_secs(2);

/// Keys of one binding in one epoch, for what the client seals.
pub(super) struct Channel {
    pub cid: Cid,
    recv: TrafficReceiver,
    window: Window,
}

/// Why a packet does not open.
pub(super) enum Closed {
    Replay,
    Seal,
    Generation,
    Malformed,
}

impl Channel {
    pub fn new(cid: Cid, secret: &EpochSecret, context: &EpochContext, binding: &BindingContext) -> Channel {
        let recv = secret.binding(context, binding, Side::Server).recv;
        Channel { cid, recv, window: Window::new(DATA_REACH) }
    }

    /// Whether the generation of a packet is the last one opened or a neighbour of it.
    pub fn is_near(&self, header: &DataHeader) -> bool {
        matches!(header.generation.wrapping_sub(self.recv.generation_seen() as u8), 0 | 1 | u8::MAX)
    }

    /// Opens a copy of the packet. The window is the model's own; the receiver's has to agree.
    pub fn open(&mut self, header: &DataHeader, datagram: &[u8]) -> Result<Vec<u8>, Closed> {
        if header.lane != 0 {
            return Err(Closed::Malformed);
        }
        let generation = self.recv.generation_seen() as u8;
        if !self.is_near(header) {
            return Err(Closed::Generation);
        }
        let number = u64::from(header.pn);
        let fresh = header.generation != generation || self.window.admits(number);
        let mut copy = datagram.to_vec();
        match self.recv.open(&mut copy) {
            Ok(opened) if fresh => {
                if header.generation == generation {
                    self.window.mark(number);
                }
                Ok(copy[opened.range].to_vec())
            }
            // Authentic and seen before: the receiver let a replay pass.
            Ok(_) | Err(OpenError::Replay) => Err(Closed::Replay),
            Err(OpenError::StaleGeneration) => Err(Closed::Generation),
            Err(OpenError::Malformed(_)) => Err(Closed::Malformed),
            Err(OpenError::Seal) if !fresh => Err(Closed::Replay),
            Err(OpenError::Seal) => Err(Closed::Seal),
        }
    }
}

/// One key epoch.
pub(super) struct Epoch {
    pub context: EpochContext,
    pub secret: EpochSecret,
    pub control: ControlKeys,
    pub since: Time,
}

impl Epoch {
    pub fn new(context: EpochContext, secret: EpochSecret, since: Time) -> Epoch {
        let control = secret.control(&context);
        Epoch { context, secret, control, since }
    }

    pub fn number(&self) -> u32 {
        self.context.n
    }
}

/// The answered epoch that the client has not used yet.
pub(super) struct NextEpoch {
    pub epoch: Epoch,
    pub channel: Channel,
    pub asked_at: (Cid, u64),
    pub request: Vec<u8>,
    /// From here on it may be forgotten, or kept for as long again: only its timer knows.
    pub until: Time,
}

/// The epoch before.
pub(super) struct PreviousEpoch {
    pub epoch: Epoch,
    pub channel: Channel,
    pub until: Time,
}

/// The question to the old address.
#[derive(Clone, Copy)]
pub(super) struct Rebind {
    pub path: PathId,
    pub started: Time,
    pub hold: Duration,
}

/// The newest probe.
#[derive(Clone, Copy)]
pub(super) struct NewestProbe {
    pub cseq: u64,
    pub source: SocketAddr,
    pub at: Time,
    pub copy_answered: bool,
}

/// A session.
pub(super) struct Session {
    pub label: SessionLabel,
    pub client: usize,
    pub handle: Handle,
    pub version: u64,
    pub owner_epoch: u64,
    pub epoch: Epoch,
    pub channel: Channel,
    pub next: Option<NextEpoch>,
    pub previous: Option<PreviousEpoch>,
    pub retiring: Option<(Channel, Time)>,
    pub path: PathId,
    pub address: SocketAddr,
    pub context: BindingContext,
    pub heard: Time,
    pub heard_at_address: Time,
    pub window: Window,
    pub watermark: u64,
    /// `cseq` of the last commit, and how often its RESULT may be repeated.
    pub cached: Option<(u64, u8)>,
    pub newest_probe: Option<NewestProbe>,
    pub rebind: Option<Rebind>,
    pub rtt: Option<Duration>,
    pub probe: Bucket,
    pub reattach: Bucket,
    pub mismatch: Bucket,
    pub reject: Bucket,
    pub frames: Bucket,
    pub rekey: Bucket,
    pub hint: Bucket,
    pub foreign: Bucket,
    pub switches: VecDeque<Time>,
    pub switch_count: u32,
    pub denials: VecDeque<Time>,
    pub parts: [Option<Vec<u8>>; 2],
    pub expires: Time,
}

impl Session {
    pub fn rtt(&self) -> Duration {
        self.rtt.unwrap_or(FIRST_RTT)
    }

    pub fn learn_rtt(&mut self, micros: u32) {
        if micros > 0 {
            self.rtt = Some(Duration::from_micros(u64::from(micros)).min(LONGEST_RTT));
        }
    }

    /// A number the client has not used yet, as far as the gateway has heard.
    pub fn next_cseq(&self) -> u64 {
        self.window.next()
    }

    /// Uses a number up for good.
    pub fn consume(&mut self, cseq: u64) {
        self.window.mark(cseq);
        self.watermark = self.watermark.max(cseq);
    }

    /// The client has shown that it holds the next epoch: with the one before goes what was collected under it, a part that came twice.
    pub fn confirm(&mut self, now: Time) {
        let Some(next) = self.next.take() else { return };
        let epoch = std::mem::replace(&mut self.epoch, next.epoch);
        let channel = std::mem::replace(&mut self.channel, next.channel);
        // Three seconds: the longest wait between two questions to the path, with margin (docs/protocol.md, 5.3).
        let until = now + Duration::from_secs(3);
        self.previous = Some(PreviousEpoch { epoch, channel, until });
        self.parts = [None, None];
    }

    /// A part of a request for new keys; the whole once both halves are there, which are then forgotten.
    pub fn part(&mut self, (part, parts, body): (u8, u8, &[u8])) -> Option<Vec<u8>> {
        // Epoch, CID and X25519 key alone; with the KEM's key in two halves (docs/protocol.md, 5.3).
        const ALONE: usize = 44;
        const HALF: usize = (ALONE + 1184) / 2;
        match (part, parts, body.len()) {
            (0, 1, ALONE) => {
                self.parts = [None, None];
                Some(body.to_vec())
            }
            (0 | 1, 2, HALF) => {
                let [mine, other] = [usize::from(part), usize::from(1 - part)];
                if self.parts[mine].as_ref().is_some_and(|held| held != body) {
                    self.parts[other] = None;
                }
                self.parts[mine] = Some(body.to_vec());
                if self.parts.iter().any(Option::is_none) {
                    return None;
                }
                Some(std::mem::take(&mut self.parts).into_iter().flatten().flatten().collect())
            }
            _ => None,
        }
    }
}
