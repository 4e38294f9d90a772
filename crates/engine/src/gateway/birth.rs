//! Birth of a session: HS_INIT → HS_RESP → DATA{FIN} → ownership store → session.
//!
//! Nothing enters the session table before the client has confirmed: a replayed HS_INIT costs one bounded
//! pending entry. There is no timestamp and no per-client counter that somebody could drive forward.
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use jumpvpn_events::{Event, EventKind, PathLabel, Reason, State, Time};
use jumpvpn_ownership::{
    Answer, Expected, Moves, Owner, RecordState, Request, RequestId, Rev, SessionRecord,
};
use jumpvpn_policy::PostQuantum;
use jumpvpn_session::{BindingContext, EpochContext, Established, InitRead, Side, Traffic, Trigger};
use jumpvpn_wire::{
    Cid, Frame, FrameReader, HS_RESP_LEN, Handle, HsInit, HsRetry, PathId, RespPayload, RouteToken, features,
    is_ip_packet,
};
use slab::Slab;

use super::expiry::pq_required;
use super::session::{Beginning, Session};
use super::writes::UNKNOWN_OWNER;
use super::{From, Gateway, SERIAL_MASK, store_handle};
use crate::Received;

/// Handshakes that may wait for their confirmation.
pub(crate) const PENDING_CAPACITY: usize = 4096;
/// A confirmation comes one round trip after the answer; 5 s cover the worst satellite path and a repetition. A store
/// that was asked has as long from then on: a client that waits longer has begun anew.
const PENDING_TTL: Duration = Duration::from_secs(5);
/// Handshakes of one peer that may wait at once: an agent races a few paths and repeats.
const PENDING_PER_PEER: usize = 8;
/// From this many on, a peer's further handshakes need a cookie.
const PENDING_WITHOUT_COOKIE: usize = 2;
/// Records that are put out of the way for one birth: one for each inner address, and one that ended a moment ago.
const CLEARED_MAX: u8 = 3;
/// For so long a session of somebody whose addresses are another's by our file may still be taken over by a gateway that knows better: files
/// change one after the other, and a client that is awake is back within two seconds of its owner's death.
const HEIR_WAIT: Duration = Duration::from_secs(10);
/// Epoch of the first owner.
const FIRST_OWNER_EPOCH: u64 = 1;
/// Version of a newborn session.
const FIRST_VERSION: u64 = 1;

/// A handshake that was answered but not yet confirmed.
pub(crate) struct PendingBirth {
    peer: usize,
    established: Established,
    context: EpochContext,
    traffic: Traffic,
    handle: Handle,
    ephemeral: [u8; 32],
    from: From,
    cookie: bool,
    /// When it was answered.
    began: Time,
    /// Set once the confirmation came and the store was asked.
    asked: Option<RequestId>,
    /// When it was asked last: what the record says of the session's birth.
    born: Time,
    /// What the store was asked is to put a record out of the way that nobody serves.
    clearing: bool,
    /// How many records were put out of the way for it.
    cleared: u8,
}

/// The bounded table of pending births.
pub(crate) struct PendingBirths {
    entries: Slab<PendingBirth>,
    /// Oldest first: (created, or confirmed; slot).
    order: VecDeque<(Time, u32)>,
    /// By peer: the record of somebody else that has its addresses, and since when that is known.
    heirs: BTreeMap<usize, (Rev, Time)>,
}

impl PendingBirths {
    pub fn new() -> PendingBirths {
        let order = VecDeque::with_capacity(PENDING_CAPACITY);
        PendingBirths { entries: Slab::with_capacity(PENDING_CAPACITY), order, heirs: BTreeMap::new() }
    }

    /// Whether this record has been in the peer's way for long enough.
    fn has_waited(&mut self, peer: usize, rev: Rev, now: Time) -> bool {
        let (known, since) = self.heirs.entry(peer).or_insert((rev, now));
        if *known != rev {
            (*known, *since) = (rev, now);
        }
        now.since(*since) >= HEIR_WAIT
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// When the oldest entry ends.
    pub fn next_expiry(&self) -> Option<Time> {
        self.order.front().map(|(since, _)| *since + PENDING_TTL)
    }

    /// The store is being asked for it from now on.
    fn note_asked(&mut self, slot: u32, id: RequestId, now: Time) {
        let Some(entry) = self.entries.get_mut(slot as usize) else { return };
        (entry.asked, entry.born) = (Some(id), now);
        self.order.retain(|(_, held)| *held != slot);
        self.order.push_back((now, slot));
    }

    fn of_peer(&self, peer: usize) -> usize {
        self.entries.iter().filter(|(_, entry)| entry.peer == peer).count()
    }

    /// Whether this very HS_INIT waits already.
    fn holds(&self, peer: usize, ephemeral: &[u8; 32]) -> bool {
        self.entries.iter().any(|(_, entry)| entry.peer == peer && entry.ephemeral == *ephemeral)
    }

    /// The peer's oldest entry that is not confirmed.
    fn oldest_of(&self, peer: usize) -> Option<u32> {
        let of_peer = |slot: &u32| {
            self.entries.get(*slot as usize).is_some_and(|entry| entry.peer == peer && entry.asked.is_none())
        };
        self.order.iter().map(|(_, slot)| *slot).find(of_peer)
    }

    /// Entries whose birth the store is being asked for: each will need a place in the table.
    pub fn asked_count(&self) -> usize {
        self.entries.iter().filter(|(_, entry)| entry.asked.is_some()).count()
    }

    fn by_request(&self, id: RequestId) -> Option<u32> {
        self.entries.iter().find(|(_, entry)| entry.asked == Some(id)).map(|(slot, _)| slot as u32)
    }

    /// The oldest entry that came without a cookie and was not confirmed.
    fn weakest(&self) -> Option<u32> {
        let weak = |slot: &u32| {
            self.entries.get(*slot as usize).is_some_and(|entry| !entry.cookie && entry.asked.is_none())
        };
        self.order.iter().map(|(_, slot)| *slot).find(weak)
    }

    /// The oldest entry if its time is over at `now`, and whether the store was asked for it.
    fn expired(&self, now: Time) -> Option<(u32, bool)> {
        let (_, slot) = *self.order.front().filter(|(since, _)| *since + PENDING_TTL <= now)?;
        Some((slot, self.entries.get(slot as usize).is_some_and(|entry| entry.asked.is_some())))
    }
}

impl Gateway {
    /// HS_INIT, in the order of docs/protocol.md ("Order of checks", HS_INIT).
    pub(super) fn handle_init(&mut self, from: From, datagram: &[u8], now: Time) -> Received {
        match self.admit_init(from, datagram, now) {
            Ok(()) => Received::Consumed,
            Err(reason) => self.core.reject(reason.into(), now),
        }
    }

    fn admit_init(&mut self, from: From, datagram: &[u8], now: Time) -> Result<(), Reason> {
        // 1 length, version, reserved bits
        let init = HsInit::parse(datagram).map_err(crate::malformed_reason)?;
        // 2 mac1: the sender knows our public key
        if !self.core.responder.check_mac1(datagram) {
            return Err(Reason::BadMac1);
        }
        if self.draining {
            return Err(Reason::GatewayDraining);
        }
        // 3 budget, 4 cookie
        let cookie = self.check_cookie(from, &init, now)?;
        // 5 buckets of the source's prefixes, only for a source that is shown to be real
        if cookie {
            self.admission.check_prefix(from.source.ip(), now)?;
        }
        // 6 ephemeral not seen before
        self.admission.check_ephemeral(&init.ephemeral())?;
        self.admission.take_handshake(now)?;
        // 7 Noise es and the client's identity, 8 Noise ss and the payload
        self.core.counters.handshakes += 1;
        let read =
            self.core.responder.read_init(datagram, self.core.suites).map_err(|_| Reason::BadHandshake)?;
        let peer = *self.core.peer_by_key.get(&read.peer.0).ok_or(Reason::UnknownPeer)?;
        if self.core.policy.security.pq == PostQuantum::Required && read.payload.features & features::PQ == 0
        {
            return Err(Reason::PqRequired);
        }
        self.check_pending_of(peer, from, &init, cookie, now)?;
        // 9 room
        self.make_pending_room(cookie)?;
        self.admission.note_ephemeral(&init.ephemeral());
        // 10 e, ee, se, psk; answer
        self.answer_init(from, read, peer, cookie, now)
    }

    /// Whether the datagram carries a valid cookie; under load one is required and asked for.
    fn check_cookie(&mut self, from: From, init: &HsInit<'_>, now: Time) -> Result<bool, Reason> {
        let valid = match init.cookie() {
            Some(cookie) => self.core.cookies.check(now, from.source, init.client_cid(), &cookie),
            None => false,
        };
        if valid || !self.admission.cookie_needed(now) {
            return Ok(valid);
        }
        self.ask_for_cookie(from, init, now).map(|()| false)
    }

    fn ask_for_cookie(&mut self, from: From, init: &HsInit<'_>, now: Time) -> Result<(), Reason> {
        if self.admission.may_retry(from.source.ip(), now) {
            self.core.refresh_keys(now)?;
            let cookie = self.core.cookies.issue(now, from.source, init.client_cid());
            let retry = self.core.responder.write_retry(init, cookie);
            self.reply(from, &retry);
        }
        Err(if init.cookie().is_some() { Reason::BadCookie } else { Reason::CookieRequired })
    }

    /// A replayed HS_INIT never gets a second entry; a peer with entries waiting has to show that its address is
    /// real, and at the limit its oldest one gives way: replays cannot lock the peer out.
    fn check_pending_of(
        &mut self,
        peer: usize,
        from: From,
        init: &HsInit<'_>,
        cookie: bool,
        now: Time,
    ) -> Result<(), Reason> {
        if self.pending.holds(peer, &init.ephemeral()) {
            return Err(Reason::HandshakeReplay);
        }
        let waiting = self.pending.of_peer(peer);
        if waiting >= PENDING_WITHOUT_COOKIE && !cookie {
            return self.ask_for_cookie(from, init, now);
        }
        if waiting >= PENDING_PER_PEER {
            let slot = self.pending.oldest_of(peer).ok_or(Reason::PeerSessionLimit)?;
            self.forget_pending(slot);
        }
        Ok(())
    }

    fn make_pending_room(&mut self, cookie: bool) -> Result<(), Reason> {
        if self.pending.entries.len() < PENDING_CAPACITY {
            return Ok(());
        }
        match self.pending.weakest() {
            Some(slot) if cookie => {
                self.forget_pending(slot);
                Ok(())
            }
            _ => Err(Reason::PendingFull),
        }
    }

    fn answer_init(
        &mut self,
        from: From,
        read: InitRead,
        peer: usize,
        cookie: bool,
        now: Time,
    ) -> Result<(), Reason> {
        // Whoever holds a session takes its own place: a client that was started again is no newcomer.
        if !self.table.has_room() && self.holders_of(peer).is_empty() {
            return Err(Reason::TableFull);
        }
        let ephemeral = read.ephemeral;
        let handle = self.next_handle(now);
        let place = self.table.vacant_slot().ok_or(Reason::TableFull)?;
        let server_cid = self.table.mint_cid(place, &mut *self.core.rng);
        let mut owner_salt = [0; 16];
        self.core.rng.fill_bytes(&mut owner_salt);
        let token = self.core.tokens.seal(handle, self.core.node, &mut *self.core.rng);
        let payload = self.resp_payload(peer, handle, owner_salt, server_cid, token, &read);
        let mut out = [0; HS_RESP_LEN];
        let psk = self.core.peers[peer].psk.as_ref();
        let established = read
            .respond(psk, &payload, server_cid, &mut *self.core.rng, &mut out)
            .map_err(|_| Reason::BadHandshake)?;
        let context = established.epoch(&payload);
        let traffic = established.secret.binding(&context, &BindingContext::birth(), Side::Server);
        let slot = self.pending.entries.insert(PendingBirth {
            peer,
            established,
            context,
            traffic,
            handle,
            ephemeral,
            from,
            cookie,
            began: now,
            asked: None,
            born: now,
            clearing: false,
            cleared: 0,
        }) as u32;
        self.pending.order.push_back((now, slot));
        if !self.table.reserve(server_cid, slot) {
            self.forget_pending(slot);
            return Err(Reason::Internal);
        }
        self.reply(from, &out);
        Ok(())
    }

    fn resp_payload(
        &self,
        peer: usize,
        handle: Handle,
        owner_salt: [u8; 16],
        server_cid: Cid,
        token: RouteToken,
        read: &InitRead,
    ) -> RespPayload {
        RespPayload {
            features: self.core.features(),
            owner_epoch: FIRST_OWNER_EPOCH,
            owner_salt,
            limits: self.core.limits(self.core.policy.session.max_lifetime),
            node_id: self.core.node,
            token,
            reset_token: jumpvpn_session::reset_token(&self.core.reset_key, handle),
            inner_v4: inner_pair(&self.core.peers[peer].inner).0.unwrap_or(Ipv4Addr::UNSPECIFIED),
            mtu: self.core.mtu,
            suite: read.suite as u16,
            server_cid,
            token_config: self.core.tokens.config(),
        }
    }

    /// Next session handle: minute since 2026 ‖ serial, never repeated while this process lives (the minute is
    /// counted on the suspend-aware clock from the start, so a wall clock that is set back changes nothing).
    pub(super) fn next_handle(&mut self, now: Time) -> Handle {
        let minutes = u32::try_from(now.since(self.core.started).as_secs() / 60).unwrap_or(u32::MAX);
        self.core.next_serial = self.core.next_serial.wrapping_add(1) & SERIAL_MASK;
        Handle::from_parts(self.core.started_minute.saturating_add(minutes), self.core.next_serial)
    }

    /// DATA for a pending birth: the first authentic packet with FIN confirms it.
    pub(super) fn handle_pending_data(
        &mut self,
        slot: u32,
        from: From,
        datagram: &mut [u8],
        now: Time,
    ) -> Result<(), Reason> {
        if !self.core.fence.allows(now) {
            return Err(Reason::FenceExpired);
        }
        let entry = self.pending.entries.get_mut(slot as usize).ok_or(Reason::UnknownCid)?;
        if from.source != entry.from.source {
            return Err(Reason::AddressMismatch);
        }
        if !is_confirmation(&mut entry.traffic, datagram)? || entry.asked.is_some() {
            return Err(Reason::NotAttached);
        }
        let peer = entry.peer;
        if !self.core.births[peer].take(now) {
            return Err(Reason::RateLimited);
        }
        let superseded = self.holders_of(peer).len();
        let coming = self.pending.asked_count() + self.takeovers.asked_count();
        if self.table.len() + coming >= self.table.capacity() + superseded {
            return Err(Reason::TableFull);
        }
        self.forget_older(peer, slot);
        self.supersede(peer, now);
        self.ask_store(slot, now);
        Ok(())
    }

    fn ask_store(&mut self, slot: u32, now: Time) {
        let Some(record) = self.newborn_record(slot, now) else { return };
        let record = Box::new(record);
        let Some(began) = self.pending.entries.get(slot as usize).map(|entry| entry.began) else { return };
        let id = self.core.ask(|id| Request::Create { id, record, began });
        self.pending.note_asked(slot, id, now);
    }

    /// A confirmation that was held back on its way must not end what came after it.
    fn forget_older(&mut self, peer: usize, slot: u32) {
        self.forget_unconfirmed(peer, |(_, other)| other != slot);
    }

    /// The client lives in a session that was not made here. It knew nothing of that answer when it began these handshakes: they are
    /// older, and their confirmations must not end it.
    pub(super) fn forget_births_until(&mut self, answered: Time, peer: usize) {
        self.forget_unconfirmed(peer, |(began, _)| began <= answered);
    }

    /// Forgets a peer's handshakes that were not confirmed, from the oldest entry on as long as entries are older.
    fn forget_unconfirmed(&mut self, peer: usize, is_older: impl Fn((Time, u32)) -> bool) {
        let of_peer = |slot: &u32| {
            self.pending
                .entries
                .get(*slot as usize)
                .is_some_and(|entry| entry.peer == peer && entry.asked.is_none())
        };
        let older = self.pending.order.iter().copied().take_while(|entry| is_older(*entry));
        let older: Vec<u32> = older.map(|(_, slot)| slot).filter(of_peer).collect();
        older.into_iter().for_each(|slot| self.forget_pending(slot));
    }

    /// One peer, one set of inner addresses, one session: the newcomer has proven its key, the old one ends.
    fn supersede(&mut self, peer: usize, now: Time) {
        for holder in self.holders_of(peer) {
            self.close(holder, Reason::Superseded, now);
        }
    }

    /// Live sessions that hold one of the peer's inner addresses.
    fn holders_of(&self, peer: usize) -> Vec<u32> {
        let inner = &self.core.peers[peer].inner;
        let mut holders: Vec<u32> = inner.iter().filter_map(|address| self.table.by_inner(address)).collect();
        holders.dedup();
        holders
    }

    fn newborn_record(&mut self, slot: u32, now: Time) -> Option<SessionRecord> {
        let entry = self.pending.entries.get(slot as usize)?;
        let peer = &self.core.peers[entry.peer];
        let (inner_v4, inner_v6) = inner_pair(&peer.inner);
        let public = peer.public.0;
        let credentials = entry.established.secret.credentials(&entry.context);
        let (sid, owner_epoch) = (entry.context.sid, entry.context.owner_epoch);
        Some(SessionRecord {
            handle: store_handle(entry.handle),
            sid: sid.0,
            peer: public,
            state: RecordState::Live,
            owner_epoch,
            owner: UNKNOWN_OWNER,
            version: FIRST_VERSION,
            inner_v4,
            inner_v6,
            created: now,
            expires: now + self.core.policy.session.max_lifetime,
            moved: false,
            moves: Moves::default(),
            key_epoch: 0,
            sealed: self.core.seal_credentials(sid, owner_epoch, &credentials, None),
        })
    }

    /// An answer of the store to a birth; `false` when it belongs to something else.
    pub(super) fn pending_answered(&mut self, answer: &Answer, now: Time) -> bool {
        let Some(slot) = self.pending.by_request(answer.id()) else { return false };
        if self.pending.entries[slot as usize].clearing {
            self.clearing_answered(slot, answer, now);
            return true;
        }
        match answer {
            Answer::Committed { rev, .. } if self.core.fence.allows(now) => self.give_birth(slot, *rev, now),
            Answer::Committed { rev, .. } => self.withdraw_birth(slot, *rev),
            Answer::Conflict { owner: Some(Owner::Alive), .. } => {
                self.refuse_birth(slot, Reason::OwnerAlive);
            }
            Answer::Conflict { current: Some(current), .. } => match self.why_in_vain(slot, current, now) {
                Some(reason) => self.clear_orphan(slot, current, reason, now),
                None => self.refuse_birth(slot, Reason::StoreConflict),
            },
            Answer::Conflict { .. } => self.refuse_birth(slot, Reason::StoreConflict),
            Answer::Refused { reason: reason @ (Reason::CellFull | Reason::StoreConflict), .. } => {
                self.refuse_birth(slot, *reason);
            }
            // Not known whether it was written: fail closed, the client begins anew.
            _ => self.refuse_birth(slot, Reason::StoreUnknown),
        }
        true
    }

    /// Why the record in the way may end: it is served by nobody (its owner is dead, or is this gateway and does not hold it) and wanted
    /// by nobody. This very client has begun anew, or whoever else had the addresses has them no more, for a while already.
    fn why_in_vain(&mut self, slot: u32, (rev, record): &(Rev, SessionRecord), now: Time) -> Option<Reason> {
        let entry = self.pending.entries.get(slot as usize)?;
        let peer = entry.peer;
        if entry.cleared == CLEARED_MAX || !self.is_abandoned(record) {
            return None;
        }
        if record.peer == self.core.peers[peer].public.0 {
            return Some(Reason::Superseded);
        }
        let struck = self.peer_of(record).err()?;
        self.pending.has_waited(peer, *rev, now).then_some(struck)
    }

    /// Whether the session of this record lives in the store, while nobody here serves it or is about to.
    pub(super) fn is_abandoned(&self, record: &SessionRecord) -> bool {
        let Some(handle) = Handle::new(record.handle.number()) else { return false };
        let being_born = |(_, entry): (usize, &PendingBirth)| entry.handle == handle;
        record.state == RecordState::Live
            && self.table.by_handle(handle).is_none()
            && !self.takeovers.is_taking(handle)
            && !self.pending.entries.iter().any(being_born)
    }

    /// Ends such a record. A store may carry out what it is asked in any order, so the birth waits for that.
    fn clear_orphan(&mut self, slot: u32, (rev, record): &(Rev, SessionRecord), reason: Reason, now: Time) {
        let expected = Expected { rev: *rev, epoch: record.owner_epoch, version: record.version };
        let (handle, reason_number) = (record.handle, reason.number());
        let id = self.core.ask(|id| Request::Terminate { id, handle, expected, reason_number });
        self.pending.note_asked(slot, id, now);
        let entry = &mut self.pending.entries[slot as usize];
        entry.clearing = true;
        entry.cleared += 1;
    }

    /// The record is out of the way, or changed meanwhile: the store is asked again, and says which.
    fn clearing_answered(&mut self, slot: u32, answer: &Answer, now: Time) {
        self.pending.entries[slot as usize].clearing = false;
        match answer {
            Answer::Committed { .. } | Answer::Conflict { .. } => self.ask_store(slot, now),
            _ => self.refuse_birth(slot, Reason::StoreUnknown),
        }
    }

    fn refuse_birth(&mut self, slot: u32, reason: Reason) {
        self.core.counters.drops.record(reason);
        self.forget_pending(slot);
    }

    /// The right to act was lost while the store answered: the record must not keep the client's addresses.
    fn withdraw_birth(&mut self, slot: u32, rev: Rev) {
        let Some(entry) = self.pending.entries.get(slot as usize) else { return };
        let handle = entry.handle;
        let expected = Expected { rev, epoch: FIRST_OWNER_EPOCH, version: FIRST_VERSION };
        self.core.ask_for_end(handle, expected, Reason::FenceExpired);
        self.refuse_birth(slot, Reason::FenceExpired);
    }

    fn give_birth(&mut self, slot: u32, rev: Rev, now: Time) {
        let Some(entry) = self.take_pending(slot) else { return };
        let session = self.new_session(entry, rev, now);
        let Some(slot) = self.enter(session) else {
            self.core.counters.drops.record(Reason::TableFull);
            return;
        };
        self.announce_birth(slot, now);
        self.welcome(slot);
        self.arm(slot, now);
    }

    fn new_session(&self, entry: PendingBirth, rev: Rev, now: Time) -> Box<Session> {
        let (v4, v6) = inner_pair(&self.core.peers[entry.peer].inner);
        let beginning = Beginning {
            handle: entry.handle,
            peer: entry.peer,
            inner: [v4.map(IpAddr::V4), v6.map(IpAddr::V6)],
            context: entry.context,
            secret: entry.established.secret,
            binding: BindingContext::birth(),
            traffic: entry.traffic,
            local_cid: entry.established.local_cid,
            peer_cid: entry.established.peer_cid,
            from: entry.from,
            stored: Expected { rev, epoch: FIRST_OWNER_EPOCH, version: FIRST_VERSION },
            // As the record has it, so that the session ends at the same moment wherever it is served then.
            born: entry.born,
            expires: entry.born + self.core.policy.session.max_lifetime,
            moved: false,
        };
        Session::begin(beginning, pq_required(&self.core.policy), now)
    }

    fn announce_birth(&mut self, slot: u32, now: Time) {
        self.transition(slot, Trigger::BirthComplete, Reason::BirthComplete, now);
        let Some(session) = self.table.session(slot) else { return };
        let path = session.binding.label;
        let kinds = [
            EventKind::PathState { path, binding: jumpvpn_events::BindingState::Active, rtt: None },
            EventKind::SessionBirth { path },
        ];
        let events = kinds.map(|kind| session_event(session, Reason::BirthComplete, kind, now));
        debug_assert_eq!(session.machine.state(), State::Attached);
        events.into_iter().for_each(|event| self.core.event(event));
    }

    fn take_pending(&mut self, slot: u32) -> Option<PendingBirth> {
        let entry = self.pending.entries.try_remove(slot as usize)?;
        self.pending.order.retain(|(_, held)| *held != slot);
        Some(entry)
    }

    /// The right to act is over.
    pub(super) fn forget_all_pending(&mut self) {
        while let Some((_, slot)) = self.pending.order.front().copied() {
            self.forget_pending(slot);
        }
    }

    fn forget_pending(&mut self, slot: u32) {
        if let Some(entry) = self.take_pending(slot) {
            self.table.cancel(entry.established.local_cid);
        }
    }

    /// Drops pending births whose confirmation, or whose answer of the store, never came. A record that the store made
    /// all the same is ended as soon as it says so, or by the client's next birth.
    pub(super) fn expire_pending(&mut self, now: Time) {
        while let Some((slot, asked)) = self.pending.expired(now) {
            if asked {
                self.core.counters.drops.record(Reason::StoreUnknown);
                self.disown(slot);
            }
            self.forget_pending(slot);
        }
    }

    fn disown(&mut self, slot: u32) {
        let Some(entry) = self.pending.entries.get(slot as usize) else { return };
        if let Some(id) = entry.asked.filter(|_| !entry.clearing) {
            let made = (entry.context.owner_epoch, FIRST_VERSION);
            self.writes.note_unwanted(id, entry.handle, Reason::StoreUnknown, made);
        }
    }

    /// Sends `bytes` back where `from` came from.
    pub(super) fn reply(&mut self, from: From, bytes: &[u8]) {
        self.core.answer(from, |slot| {
            slot[..bytes.len()].copy_from_slice(bytes);
            Some(bytes.len())
        });
    }
}

/// Whether a datagram of somebody who was answered confirms that: it is authentic, and holds a FIN.
pub(super) fn is_confirmation(traffic: &mut Traffic, datagram: &mut [u8]) -> Result<bool, Reason> {
    let opened = traffic.recv.open(datagram).map_err(|error| error.reason())?;
    let plaintext = &datagram[opened.range];
    let fin = || FrameReader::new(plaintext).any(|frame| matches!(frame, Ok(Frame::Fin)));
    Ok(!is_ip_packet(plaintext) && fin())
}

/// Of inner addresses the first of each family: those that a session has.
pub(super) fn inner_pair<'a>(
    inner: impl IntoIterator<Item = &'a IpAddr> + Clone,
) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
    let v4 = inner.clone().into_iter().find_map(|address| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    });
    let v6 = inner.into_iter().find_map(|address| match address {
        IpAddr::V6(address) => Some(*address),
        IpAddr::V4(_) => None,
    });
    (v4, v6)
}

/// Name of a client's path in our events: the client knows its interfaces, we know their ids.
pub(super) fn path_label(path_id: PathId) -> PathLabel {
    PathLabel::new(&format!("path{}", path_id.0))
}

/// An event of `session` as it stands now.
pub(super) fn session_event(session: &Session, reason: Reason, kind: EventKind, now: Time) -> Event {
    Event {
        at: now,
        session: Some(session.label),
        step: session.machine.step(),
        epoch: session.owner_epoch(),
        version: session.version,
        reason,
        kind,
    }
}

const _: () = assert!(HsRetry::LEN <= HsInit::LEN && HS_RESP_LEN <= HsInit::LEN);
