//! Takeover of a session: TAKEOVER_INIT → store → TAKEOVER_RESP → DATA{FIN} → store → session.
//!
//! For the client of a session whose gateway is gone, has been started again, or gives it away; also of one that we
//! hold, when its client has lost its keys in a handoff that failed. Nothing is written before the client has shown, with
//! fresh keys, that it is there: a replayed message reads at most one record and changes none.
//!
//! Order of checks (docs/protocol.md, "Order of checks", TAKEOVER_INIT). Up to row 9 nobody gets an answer that shows
//! more than that we hold a key of the cell:
//!
//! | # | check | reason |
//! |---|---|---|
//! | 1 | length, reserved bits | `MALFORMED`, `RESERVED_BITS` |
//! | 2 | route token of the cell; sessions are kept at all | `UNKNOWN_SESSION` |
//! | 3 | fence valid | `FENCE_EXPIRED` |
//! | 4 | cookie, always | `COOKIE_REQUIRED`, `BAD_COOKIE` (HS_RETRY) |
//! | 5 | bucket of the source's prefix, of the token | `PREFIX_RATE_LIMITED`, `RATE_LIMITED` |
//! | 6 | a repetition of what was answered gets the same answer | – |
//! | 7 | room among the questions to the store | `STORE_BUSY` |
//! | 8 | the record: live, with credentials of the named key epoch | `NO_SESSION` (answer), `STALE_EPOCH` |
//! | 9 | MAC under the credentials | `BAD_PROOF` |
//! | 10 | what a refusal tells: owner epoch, peer and its addresses, room, budget | the reason, sealed |
//! | 11 | Noise | `BAD_HANDSHAKE` |
mod queue;

use std::net::IpAddr;
use std::time::Duration;

use jumpvpn_events::{BindingState, EventKind, PathLabel, Reason, Time};
use jumpvpn_ownership::{Answer, Expected, Moves, Owner, RecordState, Request, Rev, SessionRecord};
use jumpvpn_policy::{AdmitCause, admit};
use jumpvpn_session::{Credentials, Side, TakeoverRead, Trigger};
use jumpvpn_wire::{
    Cid, Handle, Heartbeat, SessionId, TAKEOVER_RESP_LEN, TakeoverInit, TakeoverRefusal, TakeoverRespPayload,
};

use super::birth::{inner_pair, is_confirmation, session_event};
use super::expiry::pq_required;
use super::session::{Beginning, Session, carried};
use super::{From, Gateway, store_handle};
use crate::Received;
use crate::counters::OwnershipChange;
pub(super) use queue::{PENDING_CAPACITY, Takeovers};
use queue::{Pending, Waiting};

/// When a client that was refused for lack of room or time may come again: a burst of clients spreads over seconds.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The same where the owner has been waited for in vain: its death may be declared at any moment, and that is when its clients
/// should be here again.
const OWNER_RETRY_AFTER: Duration = Duration::from_millis(200);
/// A request with what the store said to it, whose sender holds the session's credentials.
struct Claim<'a> {
    waiting: &'a Waiting,
    init: TakeoverInit<'a>,
    credentials: Credentials,
    rev: Rev,
    record: &'a SessionRecord,
    owner: Owner,
}

/// How far ahead of the store a client's version may be: every binding on one gateway is one, and 2^32 of them are more
/// than any session lives to see. Beyond it the sum could run over.
const VERSIONS_AHEAD: u64 = 1 << 32;

/// A refusal that is worth telling: its sender holds the session's credentials.
struct Refusal {
    reason: Reason,
    retry_after: Duration,
}

impl std::convert::From<Reason> for Refusal {
    fn from(reason: Reason) -> Refusal {
        Refusal { reason, retry_after: Duration::ZERO }
    }
}

impl Refusal {
    fn later(reason: Reason) -> Refusal {
        let retry_after = if reason == Reason::OwnerAlive { OWNER_RETRY_AFTER } else { RETRY_AFTER };
        Refusal { reason, retry_after }
    }
}

impl Gateway {
    /// TAKEOVER_INIT: rows 1 to 7.
    pub(super) fn handle_takeover_init(&mut self, from: From, datagram: &[u8], now: Time) -> Received {
        match self.admit_takeover(from, datagram, now) {
            Ok(()) => Received::Consumed,
            Err(reason) => self.core.reject(reason.into(), now),
        }
    }

    fn admit_takeover(&mut self, from: From, datagram: &[u8], now: Time) -> Result<(), Reason> {
        // 1 length, version, reserved bits
        let init = TakeoverInit::parse(datagram).map_err(crate::malformed_reason)?;
        let header = init.header().map_err(crate::malformed_reason)?;
        // 2 route token of any gateway of the cell
        let opened = self.core.tokens.open(&header.token).filter(|_| self.core.cell.is_some());
        let (handle, _) = opened.ok_or(Reason::UnknownSession)?;
        // 3 nothing can be taken over without the right to act
        if !self.core.fence.allows(now) {
            return Err(Reason::FenceExpired);
        }
        // 4 cookie
        self.check_takeover_cookie(from, &init, header.cseq, now)?;
        // 5 buckets of a source that is shown to be real, and of the token
        self.admission.check_prefix(from.source.ip(), now)?;
        self.admission.check_token(&header.token, now)?;
        // 6 repetition
        if self.repeat_answer(handle, from, datagram) || self.takeovers.is_waiting(handle, from, datagram) {
            return Ok(());
        }
        // 7 room among the questions to the store
        let open = self.takeovers.room_for(handle, now).map_err(|_| Reason::StoreBusy)?;
        let stored = store_handle(handle);
        let id = open.unwrap_or_else(|| self.core.ask(|id| Request::Read { id, handle: stored }));
        self.takeovers.wait(Waiting { id, asked: now, handle, from, init: *init.bytes() });
        Ok(())
    }

    /// The same request gets the same answer: a second one, with keys of its own, would take the place of the first, which
    /// the client may have taken already.
    fn repeat_answer(&mut self, handle: Handle, from: From, init: &[u8]) -> bool {
        let pending = self.takeovers.of_session(handle).map(|(_, pending)| pending);
        let same = |pending: &&mut Pending| pending.init[..] == *init && pending.from.source == from.source;
        let Some(response) = pending.filter(same).map(|pending| *pending.response) else { return false };
        self.reply(from, &response);
        true
    }

    fn check_takeover_cookie(
        &mut self,
        from: From,
        init: &TakeoverInit<'_>,
        cseq: u64,
        now: Time,
    ) -> Result<(), Reason> {
        // The client's CID is sealed; its place in the cookie is taken by what else names the request.
        let shown = init.cookie();
        if shown.is_some_and(|cookie| self.core.cookies.check(now, from.source, Cid(cseq), &cookie)) {
            return Ok(());
        }
        if self.admission.may_retry_takeover(now) {
            self.core.refresh_keys(now)?;
            let cookie = self.core.cookies.issue(now, from.source, Cid(cseq));
            let retry = self.core.responder.write_takeover_retry(init, cookie);
            self.reply(from, &retry);
        }
        Err(if shown.is_some() { Reason::BadCookie } else { Reason::CookieRequired })
    }

    /// An answer of the store to a question about a takeover, or to a takeover; `false` when it belongs to something
    /// else.
    pub(super) fn takeover_answered(&mut self, answer: &Answer, now: Time) -> bool {
        if let Some(place) = self.takeovers.by_request(answer.id()) {
            self.take_answered(place, answer, now);
            return true;
        }
        let mut ours = false;
        while let Some(waiting) = self.takeovers.take_waiting(answer.id()) {
            ours = true;
            if let Err(reason) = self.judge(&waiting, answer, now) {
                self.core.reject(reason.into(), now);
            }
        }
        ours
    }

    /// Rows 8 and 9; what follows is explicit.
    fn judge(&mut self, waiting: &Waiting, answer: &Answer, now: Time) -> Result<(), Reason> {
        if !self.core.fence.allows(now) {
            return Err(Reason::FenceExpired);
        }
        let init = TakeoverInit::parse(&waiting.init).map_err(crate::malformed_reason)?;
        let header = init.header().map_err(crate::malformed_reason)?;
        let (rev, record, owner) = match answer {
            Answer::Found { rev, record, owner, .. }
                if record.state == RecordState::Live && (now < record.expires || *owner == Owner::Alive) =>
            {
                (*rev, record, *owner)
            }
            Answer::Found { .. } | Answer::Absent { .. } => {
                self.say_lost(waiting.from, waiting.handle, header.cseq);
                return Err(Reason::UnknownSession);
            }
            _ => return Err(Reason::StoreUnknown),
        };
        let held = self.core.credentials_of(record).ok_or(Reason::UnknownSession)?;
        let named = held.into_iter().find(|credentials| credentials.n() as u16 == header.epoch);
        let credentials = named.ok_or(Reason::StaleEpoch)?;
        if !self.core.responder.check_takeover_mac(&credentials, &init) {
            return Err(Reason::BadProof);
        }
        if self.repeat_answer(waiting.handle, waiting.from, &waiting.init) {
            return Ok(());
        }
        if self.takeovers.newest_cseq(waiting.handle) > Some(header.cseq) {
            // It was held back on its way; the client waits for the answer to a later one.
            return Err(Reason::ReplayDetected);
        }
        let claim = Claim { waiting, init, credentials, rev, record, owner };
        self.consider(&claim, now).map_err(|refusal| {
            let known = (record.owner_epoch, record.version);
            self.refuse_takeover(waiting.from, &init, &claim.credentials, known, &refusal);
            refusal.reason
        })
    }

    fn refuse_takeover(
        &mut self,
        from: From,
        init: &TakeoverInit<'_>,
        credentials: &Credentials,
        (owner_epoch, version): (u64, u64),
        Refusal { reason, retry_after }: &Refusal,
    ) {
        self.core.counters.ownership.note(OwnershipChange::Refused);
        let refusal = TakeoverRefusal {
            epoch: 0,
            cseq: 0,
            reason: reason.number(),
            owner_epoch,
            version,
            retry_after_ms: u32::try_from(retry_after.as_millis()).unwrap_or(u32::MAX),
            mac: [0; 16],
        };
        self.reply(from, &credentials.refuse_takeover(init, &refusal));
    }

    /// Rows 10 and 11, and the answer.
    fn consider(&mut self, claim: &Claim<'_>, now: Time) -> Result<(), Refusal> {
        check_numbers(claim)?;
        if now >= claim.record.expires {
            // By our clock. Its owner lives and has one of its own, so nothing is said that ends it.
            return Err(Refusal::from(Reason::SessionExpired));
        }
        let peer = self.peer_of(claim.record)?;
        self.check_state(claim, now)?;
        if self.draining {
            return Err(Refusal::from(Reason::GatewayDraining));
        }
        if !self.has_room_for(claim.waiting.handle) {
            return Err(Refusal::later(Reason::TableFull));
        }
        self.admission.take_takeover(now).map_err(Refusal::later)?;
        self.core.counters.handshakes += 1;
        let (public, suites) = (self.core.peers[peer].public, self.core.suites);
        let (responder, sid) = (&self.core.responder, SessionId(claim.record.sid));
        let read = responder.read_takeover(&claim.init, sid, &public, &claim.credentials, suites);
        let read = read.map_err(|_| Reason::BadHandshake)?;
        if read.payload.lanes > 1 {
            // Each lane is a replay window of its own; this version uses one.
            return Err(Refusal::from(Reason::BadHandshake));
        }
        self.answer_takeover(claim, read, peer, now)
    }

    /// The peer of a record, if it may still have what the record gives it.
    ///
    /// # Errors
    /// `PEER_REVOKED`, or `PEER_CHANGED`: its addresses are perhaps another peer's by now, and a birth gives it what it has today.
    pub(super) fn peer_of(&self, record: &SessionRecord) -> Result<usize, Reason> {
        let peer = *self.core.peer_by_key.get(&record.peer).ok_or(Reason::PeerRevoked)?;
        if inner_pair(&self.core.peers[peer].inner) != (record.inner_v4, record.inner_v6) {
            return Err(Reason::PeerChanged);
        }
        Ok(peer)
    }

    /// What the session's own state has against it.
    fn check_state(&mut self, claim: &Claim<'_>, now: Time) -> Result<(), Refusal> {
        let handle = claim.waiting.handle;
        if self.takeovers.is_taking(handle) {
            // It was confirmed a moment ago; whoever asks now repeats an older request.
            return Err(Refusal::later(Reason::StoreBusy));
        }
        if pq_required(&self.core.policy) && claim.credentials.n() == 0 {
            // What follows hangs on the epoch before, which is not hybrid.
            return Err(Refusal::from(Reason::PqRequired));
        }
        let Some(session) = self.table.by_handle(handle).and_then(|slot| self.table.session(slot)) else {
            return Ok(());
        };
        // Each is a write: a client that is here may have as many as it may have moves.
        let budget = admit(&self.core.policy, now, AdmitCause::MoveDeadPath, &session.history);
        budget.map_err(|(reason, retry_after)| Refusal { reason, retry_after })?;
        if session.frozen {
            return Err(Refusal::later(Reason::HandoffPending));
        }
        if session.writing.is_some() {
            return Err(Refusal::later(Reason::StoreBusy));
        }
        Ok(())
    }

    /// Whether this session has its place, or there is one left over when all that is being confirmed is counted.
    fn has_room_for(&self, handle: Handle) -> bool {
        let coming = self.pending.asked_count() + self.takeovers.asked_count();
        self.table.by_handle(handle).is_some() || self.table.len() + coming < self.table.capacity()
    }

    /// Answers; the takeover waits for its confirmation. A newer request of a client takes the place of an older one.
    fn answer_takeover(
        &mut self,
        claim: &Claim<'_>,
        read: TakeoverRead,
        peer: usize,
        now: Time,
    ) -> Result<(), Refusal> {
        let Claim { waiting, rev, record, owner, .. } = claim;
        if let Some((older, _)) = self.takeovers.of_session(waiting.handle) {
            self.forget_takeover(older);
        }
        let place = self.takeovers.vacant_place().ok_or(Refusal::later(Reason::PendingFull))?;
        let slot = self.table.vacant_slot().ok_or(Refusal::later(Reason::TableFull))?;
        let local_cid = self.table.mint_cid(slot, &mut *self.core.rng);
        let version = self.next_version(claim).ok_or(Reason::Internal)?;
        let payload = self.takeover_payload(claim, version, local_cid, now);
        let mut response = Box::new([0; TAKEOVER_RESP_LEN]);
        let taken = read.respond(&payload, &mut *self.core.rng, &mut response);
        let taken = taken.map_err(|_| Reason::BadHandshake)?;
        if !self.table.reserve(local_cid, place) {
            return Err(Refusal::from(Reason::Internal));
        }
        self.reply(waiting.from, &response[..]);
        let pending = Pending {
            handle: waiting.handle,
            from: waiting.from,
            peer,
            seen: Box::new((*rev, SessionRecord::clone(record))),
            owner: *owner,
            init: Box::new(waiting.init),
            response,
            traffic: taken.secret.binding(&taken.context, &taken.binding, Side::Server),
            taken,
            version,
            answered: now,
            asked: None,
        };
        self.takeovers.insert(pending, now);
        Ok(())
    }

    /// One above everything that anybody knows of.
    fn next_version(&mut self, claim: &Claim<'_>) -> Option<u64> {
        let slot = self.table.by_handle(claim.waiting.handle);
        let held = slot.and_then(|slot| self.table.session(slot)).map_or(0, |session| session.version);
        claim.record.version.max(claim.init.version()).max(held).checked_add(1)
    }

    fn takeover_payload(
        &mut self,
        claim: &Claim<'_>,
        version: u64,
        server_cid: Cid,
        now: Time,
    ) -> TakeoverRespPayload {
        let handle = claim.waiting.handle;
        let mut owner_salt = [0; 16];
        self.core.rng.fill_bytes(&mut owner_salt);
        TakeoverRespPayload {
            features: self.core.features(),
            owner_epoch: claim.record.owner_epoch + 1,
            owner_salt,
            version,
            server_cid,
            limits: self.core.limits(claim.record.expires.since(now)),
            mtu: self.core.mtu,
            token: self.core.tokens.seal(handle, self.core.node, &mut *self.core.rng),
            reset_token: jumpvpn_session::reset_token(&self.core.reset_key, handle),
            suite: 0,
            token_config: self.core.tokens.config(),
        }
    }

    /// DATA for a takeover that was answered: the first authentic packet with FIN confirms it, and the store is asked.
    pub(super) fn handle_pending_takeover(
        &mut self,
        place: u32,
        from: From,
        datagram: &mut [u8],
        now: Time,
    ) -> Result<(), Reason> {
        if !self.core.fence.allows(now) {
            return Err(Reason::FenceExpired);
        }
        let entry = self.takeovers.get(place).ok_or(Reason::UnknownCid)?;
        if from.source != entry.from.source {
            return Err(Reason::AddressMismatch);
        }
        if !is_confirmation(&mut entry.traffic, datagram)? || entry.asked.is_some() {
            return Err(Reason::NotAttached);
        }
        let (handle, expires) = (entry.handle, entry.seen.1.expires);
        let refused = if now >= expires {
            Some(Refusal::from(Reason::SessionExpired))
        } else {
            (!self.has_room_for(handle)).then_some(Refusal::later(Reason::TableFull))
        };
        if let Some(refusal) = refused {
            self.refuse_pending(place, None, &refusal, now);
            return Ok(());
        }
        let Some(record) = self.taken_record(place) else { return Err(Reason::Internal) };
        let entry = self.takeovers.get(place).ok_or(Reason::UnknownCid)?;
        let (seen, record) = (entry.seen.clone(), Box::new(record));
        let (peer, answered) = (entry.peer, entry.answered);
        self.forget_births_until(answered, peer);
        let id = self.core.ask(|id| Request::Take { id, seen, record });
        self.takeovers.note_asked(place, id, now);
        Ok(())
    }

    /// What the record shall be.
    fn taken_record(&mut self, place: u32) -> Option<SessionRecord> {
        let entry = self.takeovers.get(place)?;
        let context = &entry.taken.context;
        let credentials = entry.taken.secret.credentials(context);
        let sealed = self.core.seal_credentials(context.sid, context.owner_epoch, &credentials, None);
        let seen = &entry.seen.1;
        Some(SessionRecord {
            owner_epoch: context.owner_epoch,
            version: entry.version,
            moved: seen.moved || seen.owner.node_id() != self.core.node_id,
            key_epoch: context.n,
            sealed,
            ..seen.clone()
        })
    }

    /// The store's answer to a takeover.
    fn take_answered(&mut self, place: u32, answer: &Answer, now: Time) {
        match answer {
            Answer::Committed { rev, moves, .. } if self.core.fence.allows(now) => {
                self.take_over(place, (*rev, *moves), now);
            }
            Answer::Conflict { current, .. } => {
                let known = current.as_ref().map(|current| (current.1.owner_epoch, current.1.version));
                self.refuse_pending(place, known, &Refusal::later(Reason::StoreConflict), now);
            }
            Answer::Refused { reason, .. } if self.core.fence.allows(now) => {
                self.refuse_pending(place, None, &Refusal::later(*reason), now);
            }
            // Ours without the right to act, or not known: nobody serves it, and its client will ask again.
            _ => {
                self.core.counters.drops.record(Reason::StoreUnknown);
                self.forget_takeover(place);
            }
        }
    }

    /// Gives a takeover up that was confirmed, and says so.
    fn refuse_pending(&mut self, place: u32, known: Option<(u64, u64)>, refusal: &Refusal, now: Time) {
        self.core.reject(refusal.reason.into(), now);
        let Some(entry) = self.drop_takeover(place) else { return };
        let Ok(init) = TakeoverInit::parse(&entry.init[..]) else { return };
        let record = &entry.seen.1;
        let held = self.core.credentials_of(record).unwrap_or_default();
        let named = held.iter().find(|credentials| credentials.n() + 1 == entry.taken.context.n);
        let known = known.unwrap_or((record.owner_epoch, record.version));
        if let Some(credentials) = named {
            self.refuse_takeover(entry.from, &init, credentials, known, refusal);
        }
    }

    /// The session is ours: it lives here from now on.
    fn take_over(&mut self, place: u32, (rev, moves): (Rev, Moves), now: Time) {
        let Some(entry) = self.takeovers.remove(place) else { return };
        let owner = entry.owner;
        let before = self.table.by_handle(entry.handle).and_then(|slot| self.take_out(slot));
        for address in entry.seen.1.addresses() {
            // The store has each address once: who else is known by it here is over, and was not told yet.
            if let Some(stale) = self.table.by_inner(&address) {
                self.close(stale, Reason::Superseded, now);
            }
        }
        let was_held = before.is_some();
        let left = before.as_ref().map(|before| left_event(before, now));
        let mut session = self.taken_session(entry, rev, before, now);
        let path = session.binding.path_id.0;
        if was_held {
            session.history.record_switch(now, path, path);
        } else {
            // Whether this one counts is in the record.
            session.history = carried(&moves, now);
            session.history.arrive(now, path);
        }
        left.into_iter().for_each(|event| self.core.event(event));
        let Some(slot) = self.enter(session) else {
            // Counted and served by nobody; the client asks again, here or elsewhere.
            return self.core.counters.drops.record(Reason::TableFull);
        };
        self.core.counters.ownership.note(match owner {
            Owner::Me => OwnershipChange::Renewed,
            Owner::Dead => OwnershipChange::Taken,
            Owner::Alive => OwnershipChange::Received,
        });
        self.announce_takeover(slot, was_held, now);
        self.answer_heartbeat(slot, Heartbeat::default(), now);
        self.welcome(slot);
        self.arm(slot, now);
    }

    /// The session as it goes on. What a session that was held here has done so far still counts.
    fn taken_session(
        &self,
        entry: Pending,
        rev: Rev,
        before: Option<Box<Session>>,
        now: Time,
    ) -> Box<Session> {
        let record = &entry.seen.1;
        let stored = Expected { rev, epoch: entry.taken.context.owner_epoch, version: entry.version };
        let moved = record.moved || record.owner.node_id() != self.core.node_id;
        let mut session = Session::begin(
            Beginning {
                handle: entry.handle,
                peer: entry.peer,
                inner: [record.inner_v4.map(IpAddr::V4), record.inner_v6.map(IpAddr::V6)],
                context: entry.taken.context,
                secret: entry.taken.secret,
                binding: entry.taken.binding,
                traffic: entry.traffic,
                local_cid: entry.taken.local_cid,
                peer_cid: entry.taken.peer_cid,
                from: entry.from,
                stored,
                // Written by the clock of another machine, perhaps.
                born: record.created.min(now),
                expires: record.expires,
                moved,
            },
            pq_required(&self.core.policy),
            now,
        );
        // Whatever the client numbered before belongs to the owner before.
        session.consume(entry.taken.binding.cseq);
        if let Some(before) = before {
            session.machine = before.machine;
            session.history = before.history;
            session.switches = before.switches;
        }
        session
    }

    fn announce_takeover(&mut self, slot: u32, was_held: bool, now: Time) {
        let reason = Reason::OwnershipAcquired;
        let Some(session) = self.table.session(slot) else { return };
        let path: PathLabel = session.binding.label;
        let kinds = [
            EventKind::Takeover { path, gap: None },
            EventKind::PathState { path, binding: BindingState::Active, rtt: None },
        ];
        let events = kinds.map(|kind| session_event(session, reason, kind, now));
        events.into_iter().for_each(|event| self.core.event(event));
        if was_held {
            self.transition(slot, Trigger::JumpStarted, reason, now);
            self.transition(slot, Trigger::JumpCommitted, reason, now);
        } else {
            self.transition(slot, Trigger::BirthComplete, reason, now);
        }
    }

    fn drop_takeover(&mut self, place: u32) -> Option<Pending> {
        let entry = self.takeovers.remove(place)?;
        self.table.cancel(entry.taken.local_cid);
        Some(entry)
    }

    /// A session has ended while its client took it over anew from ourselves: that must not bring it back.
    pub(super) fn end_taking(&mut self, handle: Handle, reason: Reason) {
        let Some((place, pending)) = self.takeovers.of_session(handle) else { return };
        let (asked, made) = (pending.asked, (pending.taken.context.owner_epoch, pending.version));
        self.forget_takeover(place);
        if let Some(id) = asked {
            self.writes.note_unwanted(id, handle, reason, made);
        }
    }

    fn forget_takeover(&mut self, place: u32) {
        drop(self.drop_takeover(place));
    }

    /// Drops takeovers whose confirmation, or whose answer of the store, never came. If the store made one ours all the
    /// same, nobody serves it and its client asks again.
    pub(super) fn expire_takeovers(&mut self, now: Time) {
        while let Some(place) = self.takeovers.expired(now) {
            if self.takeovers.get(place).is_some_and(|entry| entry.asked.is_some()) {
                self.core.counters.drops.record(Reason::StoreUnknown);
            }
            self.forget_takeover(place);
        }
    }

    /// The right to act is over.
    pub(super) fn forget_all_takeovers(&mut self) {
        while let Some(place) = self.takeovers.first() {
            self.forget_takeover(place);
        }
        self.takeovers.forget_waiting();
    }
}

/// What the client knows against what the store has.
fn check_numbers(claim: &Claim<'_>) -> Result<(), Refusal> {
    let (known, stored) = (claim.init.owner_epoch(), claim.record.owner_epoch);
    if known < stored {
        return Err(Refusal::from(Reason::StaleOwnerEpoch));
    }
    if known > stored {
        return Err(Refusal::from(Reason::StoreRollback));
    }
    if stored == u64::MAX {
        // No gateway writes that. There would be no epoch after it.
        return Err(Refusal::from(Reason::Internal));
    }
    if claim.init.version().saturating_sub(claim.record.version) > VERSIONS_AHEAD {
        return Err(Refusal::from(Reason::StaleStateVersion));
    }
    Ok(())
}

/// The path that a session leaves which was held here before it was taken over.
fn left_event(before: &Session, now: Time) -> jumpvpn_events::Event {
    let kind = EventKind::PathState { path: before.binding.label, binding: BindingState::Gone, rtt: None };
    session_event(before, Reason::PathRetired, kind, now)
}
