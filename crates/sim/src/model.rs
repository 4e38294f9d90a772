//! The reference model: a slow gateway that knows every secret of the world and says beforehand what the real one must
//! answer to each datagram.
//!
//! It is written from the tables of docs/protocol.md, section 7, and keeps its own sessions, windows, buckets, tickets
//! and cookies. It shares the formats of `wire` and the primitives of `session` (key schedule, AEAD, handshake) with
//! the engine, and neither `session::verify` nor a line of the engine. Keys it has by drawing the engines' random
//! numbers a second time (`keys`, `tap`), so what it opens was sealed under keys of that session and no other.
//!
//! Each datagram that the gateway takes in is judged: accepted as a packet, consumed, or dropped for which reason; and
//! which answers go out to whom, with which outcome inside. After each step version, key epoch, path, address and moves
//! of every session are compared. Where only a timer's exact moment decides, two answers are right, and the model
//! follows the one it sees: a channel just past its end (BINDING_NOT_ACTIVE or UNKNOWN_CID), and an unconfirmed key
//! epoch past its time (forgotten or kept). Not predicted: keys that meet in the sketch, CIDs that meet by chance,
//! frames that change nothing a datagram is judged by.
mod birth;
mod cid;
mod control;
mod data;
mod hostile;
mod keys;
mod limits;
mod session;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jumpvpn_events::{Reason, SessionLabel, Time};
use jumpvpn_ownership::{Answer, Fence, RecordState, Request, RequestId};
use jumpvpn_policy::Policy;
use jumpvpn_session::{PrivateKey, PublicKey, TokenKey, open_control};
use jumpvpn_wire::{
    HS_INIT_LEN, Handle, HsRetry, Kind, ObservedAddress, PathId, ReplyHeader, ResultPayload, ResultStatus,
    TicketPayload, TransportClass,
};

use rand_chacha::ChaCha20Rng;

use crate::invariants::{Invariant, Verdict, ensure};
use crate::server::Rows;
use crate::tap::Tap;
use birth::Pending;
pub(crate) use cid::CidKey;
use control::TicketFacts;
pub(crate) use keys::{Initiations, Maker};
use limits::{Bucket, Buckets};
use session::Session;

/// The gateway's number.
pub(crate) const NODE: u16 = 1;
/// The id whose last two bytes are that.
pub(crate) const NODE_ID: [u8; 4] = [0, 0, 0, 1];
/// Questions to the store at once.
const OPEN_QUESTIONS: usize = 64;
/// A question without an answer keeps its place for so long when places are short.
const QUESTION_TTL: Duration = Duration::from_secs(5);

/// What becomes of a datagram that is not dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    Packet,
    Consumed,
}

/// A datagram at the gateway.
pub(crate) struct Arrival<'a> {
    pub source: SocketAddr,
    pub local: IpAddr,
    pub bytes: &'a [u8],
    pub now: Time,
    pub fence: Fence,
    /// What the gateway drew meanwhile.
    pub tap: Tap,
    /// What the gateway made of it; looked at only where two answers are right.
    pub observed: Result<Passed, Reason>,
}

impl Arrival<'_> {
    /// The session may live, and the gateway may act.
    fn right(&self, session: &Session) -> Result<(), Reason> {
        if self.now >= session.expires {
            return Err(Reason::SessionExpired);
        }
        if !self.fence.allows(self.now) {
            return Err(Reason::FenceExpired);
        }
        Ok(())
    }
}

/// An answer that has to go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    Plain(Kind),
    Sealed(SessionLabel, Kind),
    Ticket { label: SessionLabel, path: PathId, class: TransportClass, mismatch: bool },
    Committed { label: SessionLabel, cseq: u64 },
    Rejected { label: SessionLabel, cseq: u64, reason: Reason },
}

impl Reply {
    fn kind(&self) -> Kind {
        match self {
            Reply::Plain(kind) | Reply::Sealed(_, kind) => *kind,
            Reply::Ticket { .. } => Kind::PathTicket,
            Reply::Committed { .. } | Reply::Rejected { .. } => Kind::ReattachResult,
        }
    }
}

/// The model of one gateway process.
pub(crate) struct Model {
    pub initiations: Initiations,
    /// Verdicts compared.
    pub verdicts: u64,
    gateway: PublicKey,
    policy: Policy,
    own: Vec<IpAddr>,
    capacity: usize,
    tokens: TokenKey,
    cids: CidKey,
    handshakes: Bucket,
    retries: Bucket,
    token_buckets: Buckets<[u8; 16]>,
    narrow: Buckets<IpAddr>,
    wide: Buckets<IpAddr>,
    ephemerals: VecDeque<[u8; 32]>,
    cookies: BTreeMap<[u8; 24], (SocketAddr, jumpvpn_wire::Cid, Time)>,
    tickets: BTreeMap<[u8; 32], TicketFacts>,
    pending: Vec<Pending>,
    births: BTreeMap<usize, Bucket>,
    sessions: BTreeMap<SessionLabel, Session>,
    /// Ends that were predicted and not yet seen.
    ends: BTreeMap<SessionLabel, Reason>,
    replies: VecDeque<(SocketAddr, IpAddr, Reply)>,
    /// Births and lost sessions the store is asked for.
    asked: BTreeMap<RequestId, [u8; 16]>,
    /// Births whose obstacle is being ended.
    clearing: BTreeMap<RequestId, [u8; 16]>,
    lost: VecDeque<(Handle, SocketAddr)>,
    lost_asked: BTreeMap<RequestId, (Handle, SocketAddr, Time)>,
    lost_bucket: Bucket,
    /// Something that cannot be, found while predicting.
    surprise: Option<String>,
}

impl Model {
    /// A gateway that has just started. What was honestly made before stays known.
    pub fn new(
        gateway: PublicKey,
        policy: Policy,
        own: Vec<IpAddr>,
        capacity: usize,
        (tokens, cids): (TokenKey, CidKey),
        initiations: Initiations,
    ) -> Model {
        let per_second = Bucket::per_second;
        Model {
            initiations,
            verdicts: 0,
            gateway,
            policy,
            own,
            capacity,
            tokens,
            cids,
            // docs/protocol.md, 7.3 and 10.3
            handshakes: per_second(500, 256),
            retries: per_second(2_000, 500),
            token_buckets: Buckets::new(50, 50),
            narrow: Buckets::new(20, 5),
            wide: Buckets::new(200, 200),
            ephemerals: VecDeque::new(),
            cookies: BTreeMap::new(),
            tickets: BTreeMap::new(),
            pending: Vec::new(),
            births: BTreeMap::new(),
            sessions: BTreeMap::new(),
            ends: BTreeMap::new(),
            replies: VecDeque::new(),
            asked: BTreeMap::new(),
            clearing: BTreeMap::new(),
            lost: VecDeque::new(),
            lost_asked: BTreeMap::new(),
            lost_bucket: per_second(500, 64),
            surprise: None,
        }
    }

    /// A client sends an HS_INIT; `false` when its own numbers do not make it.
    pub fn learn(
        &mut self,
        client: usize,
        key: PrivateKey,
        policy: &Policy,
        tap: &Tap,
        datagram: &[u8],
    ) -> bool {
        self.initiations.learn((client, key), &self.gateway, policy, tap, datagram)
    }

    /// Somebody who is no peer makes an HS_INIT.
    pub fn make(&mut self, maker: Maker, rng: ChaCha20Rng) -> Option<[u8; HS_INIT_LEN]> {
        self.initiations.make(maker, &self.gateway, rng)
    }

    /// Judges what the gateway made of a datagram.
    pub fn judge(&mut self, arrival: &Arrival<'_>) -> Verdict {
        self.verdicts += 1;
        self.pending.retain(|pending| !pending.limbo);
        let expected = match kind_of(arrival.bytes) {
            Ok(Kind::Data) => self.data(arrival, arrival.bytes),
            Ok(Kind::HsInit) => self.init(arrival),
            Ok(kind @ (Kind::PathProbe | Kind::Reattach | Kind::Close)) => self.control(kind, arrival),
            Ok(_) => Err(Reason::UnknownType),
            Err(reason) => Err(reason),
        };
        let observed = arrival.observed;
        ensure(expected == observed, Invariant::Model, || {
            format!("{observed:?}, predicted was {expected:?}")
        })?;
        let surprise = self.surprise.take();
        ensure(surprise.is_none(), Invariant::Model, || surprise.unwrap_or_default())
    }

    /// An answer has to go to where the datagram came from, unless nothing may go there.
    fn expect(&mut self, arrival: &Arrival<'_>, reply: Reply) {
        if self.reachable(arrival.source) {
            self.replies.push_back((arrival.source, arrival.local, reply));
        }
    }

    /// Row 14: where a client can be.
    fn reachable(&self, address: SocketAddr) -> bool {
        let ip = address.ip();
        let IpAddr::V4(v4) = ip else { return true };
        let never = v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast() || address.port() == 0;
        !(never || v4.is_loopback() || v4.is_link_local() || self.own.contains(&ip))
    }

    /// A session ends because of what a datagram said.
    fn end(&mut self, label: SessionLabel, reason: Reason) {
        if self.sessions.remove(&label).is_some() {
            self.ends.insert(label, reason);
        }
    }

    /// A control datagram leaves the gateway.
    pub fn sent(&mut self, kind: Kind, to: SocketAddr, bytes: &[u8], now: Time) -> Verdict {
        let expected = self.replies.pop_front();
        let fits =
            expected.as_ref().is_some_and(|(address, _, reply)| (*address, reply.kind()) == (to, kind));
        ensure(fits, Invariant::Model, || format!("{kind:?} goes to {to}, predicted was {expected:?}"))?;
        let Some((_, local, reply)) = expected else { return Ok(()) };
        match reply {
            Reply::Plain(Kind::HsResp) => self.learn_birth(bytes),
            Reply::Plain(Kind::HsRetry) => {
                if let Ok(retry) = HsRetry::decode(bytes) {
                    self.cookies.insert(retry.cookie.0, (to, retry.client_cid, now));
                }
                Ok(())
            }
            Reply::Ticket { label, path, class, mismatch } => {
                self.learn_ticket(label, (path, class, mismatch), (to, local), bytes, now)
            }
            Reply::Committed { label, cseq } => self.check_result(label, cseq, None, bytes),
            Reply::Rejected { label, cseq, reason } => self.check_result(label, cseq, Some(reason), bytes),
            Reply::Plain(_) | Reply::Sealed(..) => Ok(()),
        }
    }

    /// All answers to a datagram are out.
    pub fn answered(&self) -> Verdict {
        ensure(self.replies.is_empty(), Invariant::Model, || {
            format!("predicted and not sent: {:?}", self.replies)
        })
    }

    fn opened(&self, label: SessionLabel, bytes: &[u8]) -> Option<(ReplyHeader, Vec<u8>)> {
        let session = self.sessions.get(&label)?;
        let mut copy = bytes.to_vec();
        let range = open_control(&session.epoch.control.s2c, &mut copy).ok()?;
        Some((ReplyHeader::parse(bytes).ok()?, copy[range].to_vec()))
    }

    fn learn_ticket(
        &mut self,
        label: SessionLabel,
        (path, class, mismatch): (PathId, TransportClass, bool),
        (to, local): (SocketAddr, IpAddr),
        bytes: &[u8],
        now: Time,
    ) -> Verdict {
        let Some(session) = self.sessions.get(&label) else { return Ok(()) };
        let opened = self.opened(label, bytes);
        let ticket =
            opened.and_then(|(header, payload)| Some((header, TicketPayload::decode(&payload).ok()?)));
        let right = ticket.as_ref().is_some_and(|(_, ticket)| {
            ticket.version == session.version
                && ticket.owner_epoch == session.owner_epoch
                && (ticket.path_id, ticket.mismatch) == (path, mismatch)
                && ticket.observed == ObservedAddress::new(to)
        });
        ensure(right, Invariant::Model, || format!("a ticket for path {path:?} of {label} says {ticket:?}"))?;
        let Some((header, ticket)) = ticket else { return Ok(()) };
        let facts = TicketFacts {
            handle: session.handle,
            owner_epoch: session.owner_epoch,
            version: session.version,
            path,
            class,
            observed: to,
            local,
            client_cid: header.cid,
            issued: now,
        };
        self.tickets.insert(ticket.ticket.0, facts);
        Ok(())
    }

    fn check_result(&self, label: SessionLabel, cseq: u64, refused: Option<Reason>, bytes: &[u8]) -> Verdict {
        // A session that the same datagram has ended cannot be asked any more.
        let Some(session) = self.sessions.get(&label) else { return Ok(()) };
        let result = self.opened(label, bytes).and_then(|(_, payload)| ResultPayload::decode(&payload).ok());
        let right = result.as_ref().is_some_and(|result| {
            let status = match refused {
                Some(reason) => result.status == ResultStatus::Rejected && result.reason == reason.number(),
                None => result.status == ResultStatus::Committed && result.path_id == session.path,
            };
            status && result.cseq == cseq && result.version == session.version
        });
        ensure(right, Invariant::Model, || {
            format!(
                "a RESULT for {cseq} of {label} at version {} ({refused:?}) says {result:?}",
                session.version
            )
        })
    }

    /// A token of ours names no session: the store may be asked, by who has the right to act.
    fn ask_whether_lost(&mut self, handle: Handle, arrival: &Arrival<'_>) {
        let now = arrival.now;
        if !arrival.fence.allows(now) {
            return;
        }
        if self.lost.len() + self.lost_asked.len() == OPEN_QUESTIONS {
            self.lost_asked.retain(|_, (_, _, asked)| now < *asked + QUESTION_TTL);
        }
        if self.lost.len() + self.lost_asked.len() < OPEN_QUESTIONS && self.lost_bucket.take(now) {
            self.lost.push_back((handle, arrival.source));
        }
    }

    /// The gateway asks the store.
    pub fn asks(&mut self, request: &Request, now: Time) -> Verdict {
        match request {
            Request::Create { id, record, began } => {
                let answered = self.note_asked(record.sid, now);
                ensure(answered == Some(*began), Invariant::Model, || {
                    format!("answered at {answered:?}, confirmed and asked for as of {began:?}: {record:?}")
                })?;
                self.asked.insert(*id, record.sid);
            }
            Request::Read { id, handle } => {
                let question = self.lost.pop_front().filter(|(lost, _)| lost.value() == handle.number());
                ensure(question.is_some(), Invariant::Model, || {
                    format!("{handle:?} is asked for without need")
                })?;
                question.into_iter().for_each(|(handle, source)| {
                    self.lost_asked.insert(*id, (handle, source, now));
                });
            }
            // What stands in the way of a birth is ended first, and the birth waits for that.
            Request::Terminate { id, handle, .. } => {
                let waits = |pending: &&Pending| pending.limbo && pending.obstacle == Some(*handle);
                let waiting = self.pending.iter().find(waits).and_then(|pending| pending.keys.as_ref());
                if let Some(sid) = waiting.map(|keys| keys.established.sid.0) {
                    self.clearing.insert(*id, sid);
                    self.note_asked(sid, now);
                }
            }
            Request::Update { .. }
            | Request::Take { .. }
            | Request::Release { .. }
            | Request::Decline { .. } => {}
        }
        Ok(())
    }

    /// The store has answered; called before the gateway hears it.
    pub fn hears(&mut self, answer: &Answer, fence: &Fence, now: Time) {
        if let Some(sid) = self.asked.remove(&answer.id()) {
            let of =
                |pending: &Pending| pending.keys.as_ref().is_some_and(|keys| keys.established.sid.0 == sid);
            match answer {
                Answer::Committed { .. } if fence.allows(now) => self.give_birth(sid, now),
                Answer::Conflict { current, .. } => {
                    let obstacle = current.as_ref().map(|current| current.1.handle);
                    self.pending
                        .iter_mut()
                        .filter(|pending| of(pending))
                        .for_each(|pending| (pending.limbo, pending.obstacle) = (true, obstacle));
                }
                _ => self.pending.retain(|pending| !of(pending)),
            }
        }
        if let Some(sid) = self.clearing.remove(&answer.id()) {
            let of =
                |pending: &Pending| pending.keys.as_ref().is_some_and(|keys| keys.established.sid.0 == sid);
            match answer {
                // Asked for once more now, or given up.
                Answer::Committed { .. } | Answer::Conflict { .. } => self
                    .pending
                    .iter_mut()
                    .filter(|pending| of(pending))
                    .for_each(|pending| (pending.limbo, pending.obstacle) = (true, None)),
                _ => self.pending.retain(|pending| !of(pending)),
            }
        }
        if let Some((handle, source, _)) = self.lost_asked.remove(&answer.id()) {
            let gone = match answer {
                Answer::Absent { .. } => true,
                Answer::Found { record, .. } => {
                    matches!(record.state, RecordState::Terminated { .. }) || !self.is_served(handle)
                }
                _ => false,
            };
            if gone && fence.allows(now) && self.reachable(source) {
                self.replies.push_back((source, source.ip(), Reply::Plain(Kind::NoSession)));
            }
        }
    }

    fn is_served(&self, handle: Handle) -> bool {
        let born = |pending: &Pending| pending.keys.as_ref().is_some_and(|keys| keys.handle == handle);
        self.sessions.values().any(|session| session.handle == handle) || self.pending.iter().any(born)
    }

    /// The gateway's timers run.
    pub fn timers(&mut self, now: Time) {
        self.pending.retain(|pending| !pending.limbo);
        self.expire_pending(now);
    }

    /// The gateway says that a session is over (K3: an end is said, with a reason that holds).
    pub fn ended(&mut self, label: SessionLabel, reason: Reason, now: Time) -> Verdict {
        if let Some(predicted) = self.ends.remove(&label) {
            return ensure(predicted == reason, Invariant::Expiry, || {
                format!("{label} ended for {reason}, predicted was {predicted}")
            });
        }
        let Some(session) = self.sessions.remove(&label) else { return Ok(()) };
        let (limits, key_over) =
            (&self.policy.session, data::KEY_HARD_LIMIT + self.policy.switching.recovery_window);
        let due = match reason {
            Reason::SessionExpired => session.expires,
            Reason::TransportLostTtl => session.heard + limits.transport_lost_ttl,
            Reason::KeyExpired => session.epoch.since + key_over,
            // A person may end it at any time.
            Reason::OwnerClosed | Reason::Shutdown => now,
            _ => Time::MAX,
        };
        ensure(due <= now, Invariant::Expiry, || {
            format!("{label} ended for {reason} at {now:?}, due at {due:?}")
        })
    }

    /// The gateway's sessions are those that were predicted, and stand where they were predicted.
    pub fn compare(&self, rows: &Rows) -> Verdict {
        for (label, row) in rows {
            let Some(session) = self.sessions.get(label) else {
                return ensure(false, Invariant::Model, || format!("{label} was not predicted: {row:?}"));
            };
            let predicted = (
                session.client,
                session.version,
                session.owner_epoch,
                session.path.0,
                session.address,
                session.switch_count,
                session.epoch.number(),
            );
            let at = &row.committed;
            let seen = (row.client, at.version, at.epoch, at.path_id, at.address, at.switches, row.key_epoch);
            ensure(predicted == seen, Invariant::Model, || {
                format!("{label} stands at {seen:?}, predicted was {predicted:?}")
            })?;
        }
        ensure(rows.len() == self.sessions.len(), Invariant::Model, || {
            let missing = self.sessions.keys().filter(|label| !rows.contains_key(label));
            format!("predicted and not there: {:?}", missing.collect::<Vec<_>>())
        })
    }
}

/// Row 1: kind and length.
fn kind_of(bytes: &[u8]) -> Result<Kind, Reason> {
    let first = *bytes.first().ok_or(Reason::Malformed)?;
    if first >> 4 != 1 {
        return Err(Reason::UnknownVersion);
    }
    let len = bytes.len();
    // Type, shortest and longest length (docs/protocol.md, 4.2).
    let (kind, fits) = match first {
        0x10 => (Kind::Data, (32..=16_416).contains(&len)),
        0x11 => (Kind::HsInit, len == 196),
        0x12 => (Kind::HsRetry, len == 52),
        0x13 => (Kind::HsResp, len == 164),
        0x14 => (Kind::PathProbe, (124..=16_416).contains(&len)),
        0x15 => (Kind::PathTicket, len == 124),
        0x16 => (Kind::Reattach, len == 156 || (156 + 32..=156 + 16_416).contains(&len)),
        0x17 => (Kind::ReattachResult, len == 100),
        0x18 => (Kind::RebindHint, len == 68),
        0x19 => (Kind::TakeoverInit, len == 164),
        0x1a => (Kind::TakeoverResp, len == 50 || len == 156),
        0x1b => (Kind::Close, len == 60),
        0x1c => (Kind::CloseAck, len == 44),
        0x1d => (Kind::NoSession, len == 36),
        _ => return Err(Reason::UnknownType),
    };
    if fits { Ok(kind) } else { Err(Reason::Malformed) }
}
