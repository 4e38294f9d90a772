//! Changes of the records of live sessions: asked for, and remembered until the store has answered.
//!
//! A session has one change under way at most, because the next one names the revision that this one makes. A session
//! that ends meanwhile is terminated in the store once the answer is there: a record that stayed live could be taken
//! over by a client that was told to go.
use jumpvpn_events::{Reason, Time};
use jumpvpn_ownership::{
    Answer, Expected, Incarnation, Owner, RecordState, Request, RequestId, SessionRecord,
};
use jumpvpn_session::{Credentials, CredentialsPlace};
use jumpvpn_wire::{Handle, SessionId};
use rand_core::CryptoRng;

use super::birth;
use super::handoff::Stray;
use super::session::Session;
use super::{Cell, Core, Gateway, store_handle};
use crate::keyed::{KeyedMap, KeyedState};

/// What stands for the owner in a record that we write: who keeps the records fills it in.
pub(super) const UNKNOWN_OWNER: Incarnation = Incarnation([0; 16]);

/// Gateways in a row that a session was given to and that did not come to serve it. A client asks for it once in some seconds at
/// most, and waits no longer than its recovery window; each look costs about as much as opening a packet.
const UNFINISHED_MAX: u64 = 32;

/// From this many open changes on, births that nobody waits for are not remembered: as many as can be pending. Beyond
/// it the client's next birth ends what the store made.
const UNWANTED_MAX: usize = birth::PENDING_CAPACITY;

/// What the store was asked to change.
enum Write {
    /// The record gets the credentials of the key epoch that was just agreed on.
    Rekey { handle: Handle, version: u64 },
    /// The session is given to another gateway.
    Release { handle: Handle },
    /// The session ends, and its client is told with so many copies.
    Close { handle: Handle, reason: Reason, copies: usize },
    /// Whose record is written is over. With that, what the record is if the answer is "committed" (`None`: then it
    /// is somebody else's) and if it is "refused".
    Ended { handle: Handle, reason: Reason, made: Option<(u64, u64)>, before: Option<Expected> },
    /// It was asked what became of a session that is ours, perhaps, and not held.
    Stray(Stray),
}

/// The changes that wait for the store: at most one for each session that lives or was being born.
pub(crate) struct Writes {
    open: KeyedMap<RequestId, Write>,
}

impl Writes {
    pub fn new(rng: &mut dyn CryptoRng) -> Writes {
        Writes { open: KeyedMap::with_hasher(KeyedState::new(rng)) }
    }

    /// The answers to all of them mean nothing any more.
    pub fn forget(&mut self) {
        self.open.clear();
    }

    /// What the store says to this is about a session that is not held.
    pub fn note_stray(&mut self, id: RequestId, then: Stray) {
        if self.open.len() < UNWANTED_MAX {
            self.open.insert(id, Write::Stray(then));
        }
    }

    /// Nobody waits any more for the birth or the takeover that the store is asked for, which would make this epoch and version.
    pub fn note_unwanted(&mut self, id: RequestId, handle: Handle, reason: Reason, made: (u64, u64)) {
        if self.open.len() < UNWANTED_MAX {
            self.open.insert(id, Write::Ended { handle, reason, made: Some(made), before: None });
        }
    }
}

impl Gateway {
    /// Asks the store to keep, beside the credentials of the present key epoch, those of the next one.
    pub(super) fn write_credentials(&mut self, slot: u32) -> Result<(), Reason> {
        let session = self.table.session(slot).ok_or(Reason::UnknownSession)?;
        let record = Box::new(self.core.record_of(session));
        let (handle, version, expected) = (session.handle, session.version, session.stored);
        let id = self.core.ask(|id| Request::Update { id, expected, record });
        session.writing = Some(id);
        self.writes.open.insert(id, Write::Rekey { handle, version });
        Ok(())
    }

    /// Asks the store to give the session to another gateway. It is frozen from here on.
    pub(super) fn write_release(&mut self, slot: u32, to: jumpvpn_ownership::Incarnation, now: Time) {
        let Some(session) = self.table.session(slot) else { return };
        let (handle, expected) = (session.handle, session.stored);
        // We have sent it away, or its client wants to go.
        let moves = if session.advised { session.moves() } else { session.moves().and_one(now) };
        session.frozen = true;
        let stored = store_handle(handle);
        let id = self.core.ask(|id| Request::Release { id, handle: stored, expected, to, moves });
        session.writing = Some(id);
        self.writes.open.insert(id, Write::Release { handle });
    }

    /// Asks the store to end the session. It is frozen until that has answered.
    pub(super) fn write_close(&mut self, slot: u32, reason: Reason, copies: usize) {
        let Some(session) = self.table.session(slot) else { return };
        let handle = session.handle;
        let id = self.core.ask_for_end(handle, session.stored, reason);
        session.writing = Some(id);
        self.writes.open.insert(id, Write::Close { handle, reason, copies });
    }

    /// Asks the store to end the record of a session that is over here.
    pub(super) fn write_end(&mut self, session: &Session, reason: Reason) {
        let handle = session.handle;
        if let Some(write) = session.writing.and_then(|id| self.writes.open.get_mut(&id)) {
            let made = match write {
                Write::Rekey { version, .. } => Some((session.owner_epoch(), *version)),
                _ => None,
            };
            *write = Write::Ended { handle, reason, made, before: Some(session.stored) };
            return;
        }
        self.core.ask_for_end(handle, session.stored, reason);
    }

    /// An answer of the store to a change; `false` when it belongs to something else.
    pub(super) fn write_answered(&mut self, answer: &Answer, now: Time) -> bool {
        let id = answer.id();
        match self.writes.open.remove(&id) {
            None => return false,
            Some(Write::Ended { handle, reason, made, before }) => {
                self.ended_answered(answer, handle, reason, made, before)
            }
            Some(Write::Stray(then)) => self.stray_answered(answer, then, now),
            Some(Write::Rekey { handle, version }) => {
                if let Some(slot) = self.writing_slot(handle, id) {
                    self.credentials_answered(slot, answer, version, now);
                }
            }
            Some(Write::Release { handle }) => {
                if let Some(slot) = self.writing_slot(handle, id) {
                    self.release_answered(slot, answer, now);
                }
            }
            Some(Write::Close { handle, reason, copies }) => {
                if let Some(slot) = self.writing_slot(handle, id) {
                    self.close_answered(slot, answer, (reason, copies), now);
                }
            }
        }
        if matches!(answer, Answer::Unknown { .. }) {
            // Whether the record changed will never be known: what depends on it waits for ever, and ends by its timers.
            self.core.counters.drops.record(Reason::StoreUnknown);
        }
        true
    }

    /// The session that waits for this very answer.
    fn writing_slot(&mut self, handle: Handle, id: RequestId) -> Option<u32> {
        let slot = self.table.by_handle(handle)?;
        (self.table.session(slot)?.writing == Some(id)).then_some(slot)
    }

    fn ended_answered(
        &mut self,
        answer: &Answer,
        handle: Handle,
        reason: Reason,
        made: Option<(u64, u64)>,
        before: Option<Expected>,
    ) {
        let expected = match answer {
            Answer::Committed { rev, .. } => {
                made.map(|(epoch, version)| Expected { rev: *rev, epoch, version })
            }
            Answer::Refused { .. } => before,
            Answer::Conflict { current: Some(current), owner: Some(Owner::Me), .. } => {
                let (rev, record) = &**current;
                before.filter(|before| before.rev == *rev && record.state == RecordState::Live)
            }
            _ => None,
        };
        if let Some(expected) = expected {
            self.core.ask_for_end(handle, expected, reason);
        }
    }

    fn credentials_answered(&mut self, slot: u32, answer: &Answer, version: u64, now: Time) {
        let Some(session) = self.table.session(slot) else { return };
        match answer {
            Answer::Committed { rev, .. } => {
                session.stored = Expected { rev: *rev, epoch: session.owner_epoch(), version };
                session.writing = None;
                self.announce_epoch(slot, now);
            }
            Answer::Conflict { .. } => return self.lose(slot, Reason::OwnershipLost, now),
            Answer::Unknown { .. } => return,
            _ => {
                session.writing = None;
                self.core.counters.drops.record(Reason::StoreUnknown);
                self.drop_next_epoch(slot);
            }
        }
        if self.table.session(slot).is_some_and(|session| session.end_wanted.is_some()) {
            return self.go_on(slot, now);
        }
        self.release_if_wanted(slot, now);
    }
}

impl Core {
    /// Asks the store for something, under a number of its own.
    pub fn ask(&mut self, make: impl FnOnce(RequestId) -> Request) -> RequestId {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.requests.push_back(make(id));
        id
    }

    /// What the store shall have of a session: the credentials of the next key epoch, and of the present one.
    fn record_of(&mut self, session: &Session) -> SessionRecord {
        let next = session.next.as_ref().map(|next| &next.epoch);
        let newest = next.unwrap_or(&session.epoch);
        let before = next.map(|_| session.epoch.secret.credentials(&session.epoch.context));
        let (context, credentials) = (&newest.context, newest.secret.credentials(&newest.context));
        let sealed = self.seal_credentials(context.sid, session.owner_epoch(), &credentials, before.as_ref());
        let (inner_v4, inner_v6) = birth::inner_pair(session.inner.iter().flatten());
        SessionRecord {
            handle: store_handle(session.handle),
            sid: context.sid.0,
            peer: self.peers[session.peer].public.0,
            state: RecordState::Live,
            owner_epoch: session.owner_epoch(),
            owner: UNKNOWN_OWNER,
            version: session.version,
            inner_v4,
            inner_v6,
            created: session.born,
            expires: session.expires,
            moved: session.moved,
            moves: session.moves(),
            key_epoch: context.n,
            sealed,
        }
    }

    /// Seals credentials for a record of that owner epoch; nothing where sessions end with their gateway.
    pub fn seal_credentials(
        &mut self,
        sid: SessionId,
        owner_epoch: u64,
        newest: &Credentials,
        before: Option<&Credentials>,
    ) -> Vec<u8> {
        let Some(cell) = &self.cell else { return Vec::new() };
        let place = CredentialsPlace { cell: cell.name.as_bytes(), sid, owner_epoch };
        cell.keys.seal(&place, newest, before, &mut *self.rng)
    }

    /// The credentials in a record, newest first; `None` when they are not for this cell and these keys. A record that
    /// was given to another gateway, which did not come to write its own, still has those of an owner epoch before.
    pub fn credentials_of(&self, record: &SessionRecord) -> Option<Vec<Credentials>> {
        let Cell { name, keys, .. } = self.cell.as_ref()?;
        let open = |owner_epoch| {
            let place = CredentialsPlace { cell: name.as_bytes(), sid: SessionId(record.sid), owner_epoch };
            keys.open(&place, &record.sealed).ok()
        };
        let oldest = record.owner_epoch.saturating_sub(UNFINISHED_MAX);
        (oldest..=record.owner_epoch).rev().find_map(open)
    }

    /// Asks the store to end a record.
    pub fn ask_for_end(&mut self, handle: Handle, expected: Expected, reason: Reason) -> RequestId {
        let (handle, reason_number) = (store_handle(handle), reason.number());
        self.ask(|id| Request::Terminate { id, handle, expected, reason_number })
    }
}
