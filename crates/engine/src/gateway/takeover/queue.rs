//! What a takeover waits in: first for the store's record, then for the client's confirmation. Both are fixed in size.
use std::collections::VecDeque;
use std::time::Duration;

use jumpvpn_events::Time;
use jumpvpn_ownership::{Owner, RequestId, Rev, SessionRecord};
use jumpvpn_session::{TakenOver, Traffic};
use jumpvpn_wire::{Handle, TAKEOVER_INIT_LEN, TAKEOVER_RESP_LEN};
use slab::Slab;

use crate::gateway::From;
use crate::gateway::birth;

/// Takeovers that may wait for their confirmation (docs/protocol.md, limits).
pub(in crate::gateway) const PENDING_CAPACITY: usize = 1024;
/// A confirmation comes one round trip after the answer; 5 s cover the worst satellite path and a repetition. A store
/// that was asked has as long from then on: it answers within 2 s (ownership, handoff).
const PENDING_TTL: Duration = Duration::from_secs(5);
/// Messages that may wait for the store's record, all clients together. A record comes within milliseconds, so 256 at
/// once are some ten thousand a second; more than that is silence, and the clients ask again.
const WAITING_CAPACITY: usize = 256;
/// Of one session: its client races two paths and repeats each once.
const WAITING_PER_SESSION: usize = 4;
/// A message whose record has not come by then has lost its asker, who repeats it within 3 s, and its place.
const WAITING_TTL: Duration = Duration::from_secs(5);
/// Places of pending takeovers begin here; those below are births'.
const FIRST_PLACE: u32 = birth::PENDING_CAPACITY as u32;

/// A TAKEOVER_INIT that waits for the record of its session.
pub(super) struct Waiting {
    pub id: RequestId,
    pub asked: Time,
    pub handle: Handle,
    pub from: From,
    pub init: [u8; TAKEOVER_INIT_LEN],
}

/// A takeover that was answered and waits for its confirmation, or for the store.
pub(super) struct Pending {
    pub handle: Handle,
    pub from: From,
    pub peer: usize,
    /// What the store held, and will have to hold still.
    pub seen: Box<(Rev, SessionRecord)>,
    /// Whose it was then.
    pub owner: Owner,
    pub init: Box<[u8; TAKEOVER_INIT_LEN]>,
    /// A repeated request gets the same answer.
    pub response: Box<[u8; TAKEOVER_RESP_LEN]>,
    pub taken: TakenOver,
    pub traffic: Traffic,
    /// Version that the takeover commits.
    pub version: u64,
    /// When it was answered.
    pub answered: Time,
    /// Set once the confirmation came and the store was asked.
    pub asked: Option<RequestId>,
}

/// Why a message may not wait for the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Takeovers under way.
pub(in crate::gateway) struct Takeovers {
    waiting: Vec<Waiting>,
    pending: Slab<Pending>,
    /// Oldest first: (answered, or confirmed; place in the slab).
    order: VecDeque<(Time, u32)>,
}

impl Takeovers {
    pub fn new() -> Takeovers {
        Takeovers {
            waiting: Vec::with_capacity(WAITING_CAPACITY),
            pending: Slab::with_capacity(PENDING_CAPACITY),
            order: VecDeque::with_capacity(PENDING_CAPACITY),
        }
    }

    /// Whether a place stands for a takeover (and not for a birth).
    pub fn is_takeover(place: u32) -> bool {
        place >= FIRST_PLACE
    }

    /// When the oldest entry ends.
    pub fn next_expiry(&self) -> Option<Time> {
        self.order.front().map(|(since, _)| *since + PENDING_TTL)
    }

    /// Number of takeovers that wait for their confirmation or for the store.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// Whether one more message of this session may wait, and the question about it that is open already.
    pub(super) fn room_for(&mut self, handle: Handle, now: Time) -> Result<Option<RequestId>, Full> {
        if self.waiting.len() == WAITING_CAPACITY {
            self.waiting.retain(|waiting| now < waiting.asked + WAITING_TTL);
        }
        let fresh = |waiting: &&Waiting| waiting.handle == handle && now < waiting.asked + WAITING_TTL;
        let of_session = self.waiting.iter().filter(fresh);
        let open = of_session.clone().map(|waiting| waiting.id).next();
        let full = self.waiting.len() == WAITING_CAPACITY || of_session.count() == WAITING_PER_SESSION;
        if full { Err(Full) } else { Ok(open) }
    }

    /// The message waits. There is room.
    pub(super) fn wait(&mut self, waiting: Waiting) {
        self.waiting.push(waiting);
    }

    /// A message that waited for this answer.
    pub(super) fn take_waiting(&mut self, id: RequestId) -> Option<Waiting> {
        let at = self.waiting.iter().position(|waiting| waiting.id == id)?;
        // In their order: the newest of a client comes last.
        Some(self.waiting.remove(at))
    }

    /// Whether this very message, from there, waits already.
    pub(super) fn is_waiting(&self, handle: Handle, from: From, init: &[u8]) -> bool {
        let same = |waiting: &Waiting| {
            waiting.handle == handle && waiting.init[..] == *init && waiting.from.source == from.source
        };
        self.waiting.iter().any(same)
    }

    /// Number of the request that was answered last for this session.
    pub(super) fn newest_cseq(&mut self, handle: Handle) -> Option<u64> {
        self.of_session(handle).map(|(_, pending)| pending.taken.binding.cseq)
    }

    /// The place that [`Takeovers::insert`] would give; `None` when all are taken.
    pub(super) fn vacant_place(&self) -> Option<u32> {
        // invariant: there are 1024 places.
        (self.pending.len() < PENDING_CAPACITY).then(|| FIRST_PLACE + self.pending.vacant_key() as u32)
    }

    /// Keeps a takeover that was answered.
    pub(super) fn insert(&mut self, pending: Pending, now: Time) {
        let at = self.pending.insert(pending) as u32;
        self.order.push_back((now, FIRST_PLACE + at));
    }

    pub(super) fn get(&mut self, place: u32) -> Option<&mut Pending> {
        self.pending.get_mut(place.checked_sub(FIRST_PLACE)? as usize)
    }

    pub(super) fn remove(&mut self, place: u32) -> Option<Pending> {
        let entry = self.pending.try_remove(place.checked_sub(FIRST_PLACE)? as usize)?;
        self.order.retain(|(_, held)| *held != place);
        Some(entry)
    }

    /// The store is being asked for it from now on.
    pub(super) fn note_asked(&mut self, place: u32, id: RequestId, now: Time) {
        let Some(entry) = self.get(place) else { return };
        entry.asked = Some(id);
        self.order.retain(|(_, held)| *held != place);
        self.order.push_back((now, place));
    }

    /// The takeover of this session that is under way.
    pub(super) fn of_session(&mut self, handle: Handle) -> Option<(u32, &mut Pending)> {
        let mut all = self.pending.iter_mut();
        let (at, entry) = all.find(|(_, entry)| entry.handle == handle)?;
        Some((FIRST_PLACE + at as u32, entry))
    }

    /// Whether the store is being asked to make this session ours.
    pub fn is_taking(&self, handle: Handle) -> bool {
        self.pending.iter().any(|(_, entry)| entry.handle == handle && entry.asked.is_some())
    }

    pub(super) fn by_request(&self, id: RequestId) -> Option<u32> {
        let found = self.pending.iter().find(|(_, entry)| entry.asked == Some(id));
        found.map(|(at, _)| FIRST_PLACE + at as u32)
    }

    /// Takeovers that the store is being asked for: each may need a place in the table.
    pub fn asked_count(&self) -> usize {
        self.pending.iter().filter(|(_, entry)| entry.asked.is_some()).count()
    }

    /// The oldest entry if its time is over.
    pub(super) fn expired(&self, now: Time) -> Option<u32> {
        self.order.front().filter(|(since, _)| *since + PENDING_TTL <= now).map(|(_, place)| *place)
    }

    /// The oldest entry.
    pub(super) fn first(&self) -> Option<u32> {
        self.order.front().map(|(_, place)| *place)
    }

    /// Nobody waits for a record any more.
    pub(super) fn forget_waiting(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests;
