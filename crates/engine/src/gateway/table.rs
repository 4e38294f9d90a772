//! The session table: fixed capacity, look-up by CID without a search, by handle and inner address in constant time,
//! one timer each.
//!
//! A CID of ours leads to its slot by arithmetic ([`CidKey`]). The slot's entry is one cache line: the CIDs that are
//! valid there, each at the place of its role with the key generation it is at, and the way to the session. Sessions and handshakes that wait for
//! their confirmation share the slots, so that a session keeps the CID it was given before it was born.
mod inner;

use std::net::IpAddr;

use jumpvpn_events::Time;
use jumpvpn_prefetch as prefetch;
use jumpvpn_wire::{Cid, DataHeader, Handle};
use rand_core::CryptoRng;

use super::cid::{CidKey, NO_CID, SLOT_COUNT_MAX};
use super::session::Session;
use crate::keyed::{KeyedMap, KeyedState};
use crate::wheel::Wheel;
use inner::{Home, InnerIndex};

/// Datagrams or packets whose sessions are fetched at once: what one read of the TUN device brings at most (a receive
/// brings fewer), and enough to keep every line fill buffer of a processor busy.
const FORESEEN_MAX: usize = 128;

/// So many datagrams before its own a session is fetched: a line of memory takes about 0.25 µs where memory is virtual, six packets
/// are opened in 0.8 µs, and a datagram that is refused needs no session.
const SESSION_AHEAD: usize = 6;
/// The same for a replay window; in between the session has to come.
const WINDOW_AHEAD: usize = 3;

/// What a CID of ours stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CidRole {
    /// The binding, under the present key epoch.
    Active,
    /// The binding, under the key epoch before.
    Previous,
    /// The binding, under the key epoch that waits for its confirmation.
    Next,
    /// The binding that was replaced.
    Retiring,
}

impl CidRole {
    const ALL: [CidRole; 4] = [CidRole::Active, CidRole::Previous, CidRole::Next, CidRole::Retiring];
}

/// Where a CID leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CidEntry {
    /// A live session, and the low bits of the last key generation that was received under the CID.
    Session { slot: u32, role: CidRole, generation: u8 },
    /// A handshake that waits for its confirmation: its place among those.
    Pending(u32),
}

enum Holder {
    Nobody,
    /// Place among the pending births.
    Pending(u32),
    Session(Box<Session>),
}

/// One slot. A look-up that fails touches this line and no other.
#[repr(align(64))]
struct Entry {
    /// In the order of [`CidRole::ALL`]; [`NO_CID`] where there is none.
    cids: [Cid; 4],
    holder: Holder,
    /// Of each CID the low bits of the last key generation received under it: who is further from it than one is
    /// refused in this line.
    generations: [u8; 4],
}

impl Entry {
    const EMPTY: Entry = Entry { cids: [NO_CID; 4], holder: Holder::Nobody, generations: [0; 4] };

    fn role_of(&self, cid: Cid) -> Option<CidRole> {
        let at = self.cids.iter().position(|held| *held == cid)?;
        (cid != NO_CID).then_some(CidRole::ALL[at])
    }

    fn session(&self) -> Option<&Session> {
        match &self.holder {
            Holder::Session(session) => Some(session),
            _ => None,
        }
    }

    fn put(&mut self, cid: Cid, role: CidRole, generation: u8) {
        self.cids[role as usize] = cid;
        self.generations[role as usize] = generation;
    }
}

/// Whether a packet of `generation` may be opened where `last` was the last one received: a receiver has one neighbour
/// of its generation at hand, the one before or the one after, and knows which.
pub(crate) fn is_near(generation: u8, last: u8) -> bool {
    matches!(generation.wrapping_sub(last), 0 | 1 | u8::MAX)
}

/// A datagram that comes next, and the slot it leads to.
struct Foreseen {
    header: DataHeader,
    slot: u32,
}

/// The table. A full one refuses new sessions and never drops a live one to make room.
pub(crate) struct Table {
    entries: Vec<Entry>,
    /// Slots given back, the last one first.
    free: Vec<u32>,
    live_count: usize,
    capacity: usize,
    cids: CidKey,
    /// What [`Table::foresee`] was told last, and how far that has come.
    foreseen: Vec<Foreseen>,
    foreseen_at: usize,
    by_handle: KeyedMap<Handle, u32>,
    by_inner: InnerIndex,
    /// Timers of the sessions, by slot.
    pub wheel: Wheel,
}

impl Table {
    /// A table for `capacity` sessions (and `pending` handshakes; together at most 2^24, fewer sessions fit then),
    /// its index memory allotted now.
    pub fn new(capacity: usize, pending: usize, rng: &mut dyn CryptoRng, now: Time) -> Table {
        let capacity = capacity.min(SLOT_COUNT_MAX - pending);
        let slot_count = capacity + pending;
        let mut entries = Vec::with_capacity(slot_count);
        prefetch::huge(&mut entries);
        Table {
            entries,
            free: Vec::with_capacity(slot_count),
            live_count: 0,
            capacity,
            cids: CidKey::new(rng),
            foreseen: Vec::with_capacity(FORESEEN_MAX),
            foreseen_at: 0,
            by_handle: KeyedMap::with_capacity_and_hasher(capacity, KeyedState::new(rng)),
            by_inner: InnerIndex::new(capacity * 2, rng),
            wheel: Wheel::new(slot_count, now),
        }
    }

    /// Number of sessions.
    pub fn len(&self) -> usize {
        self.live_count
    }

    /// Slots in use or used before: all sessions are in these.
    pub fn slot_count(&self) -> u32 {
        // invariant: there are at most 2^24 slots.
        self.entries.len() as u32
    }

    /// Most sessions it takes.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether one more session fits.
    pub fn has_room(&self) -> bool {
        self.live_count < self.capacity
    }

    /// The slot that [`Table::reserve`] would take next; `None` when all are taken.
    pub fn vacant_slot(&self) -> Option<u32> {
        let unused = (self.entries.len() < self.entries.capacity()).then_some(self.entries.len());
        // invariant: there are at most 2^24 slots.
        self.free.last().copied().or(unused.map(|slot| slot as u32))
    }

    /// A fresh CID that leads to `slot`. It is not valid before it is claimed.
    pub fn mint_cid(&self, slot: u32, rng: &mut dyn CryptoRng) -> Cid {
        self.cids.mint(slot, rng)
    }

    /// Takes the [`Table::vacant_slot`] for the handshake at `pending` under a CID that was minted for it; `false`
    /// when that is not the slot the CID leads to.
    pub fn reserve(&mut self, cid: Cid, pending: u32) -> bool {
        let Some(slot) = self.vacant_slot().filter(|slot| *slot == self.cids.slot(cid)) else { return false };
        if self.free.pop().is_none() {
            self.entries.push(Entry::EMPTY);
        }
        let entry = &mut self.entries[slot as usize];
        entry.put(cid, CidRole::Active, 0);
        entry.holder = Holder::Pending(pending);
        true
    }

    /// Gives back the slot that was reserved under `cid`.
    pub fn cancel(&mut self, cid: Cid) {
        let slot = self.cids.slot(cid);
        let reserved =
            |entry: &&mut Entry| entry.role_of(cid).is_some() && matches!(entry.holder, Holder::Pending(_));
        if let Some(entry) = self.entries.get_mut(slot as usize).filter(reserved) {
            *entry = Entry::EMPTY;
            self.free.push(slot);
        }
    }

    /// Enters a session at the slot that was reserved under its binding's CID, under its handle and inner addresses;
    /// `None` when the table is full.
    pub fn insert(&mut self, session: Box<Session>) -> Option<u32> {
        let cid = session.binding.channel.local_cid;
        let slot = self.cids.slot(cid);
        let has_room = self.has_room();
        let entry = self.entries.get(slot as usize).filter(|entry| entry.role_of(cid).is_some())?;
        if !has_room || !matches!(entry.holder, Holder::Pending(_)) {
            self.cancel(cid);
            return None;
        }
        self.by_handle.insert(session.handle, slot);
        for address in session.inner.into_iter().flatten() {
            let home = self.by_inner.home(&address);
            if let Some(older) = self.by_inner(&address) {
                self.by_inner.remove(home, older);
            }
            self.by_inner.insert(home, slot);
        }
        self.entries[slot as usize].holder = Holder::Session(session);
        self.live_count += 1;
        Some(slot)
    }

    /// Takes a session out, with every index entry that leads to it.
    pub fn remove(&mut self, slot: u32) -> Option<Box<Session>> {
        let entry = self.entries.get_mut(slot as usize)?;
        if !matches!(entry.holder, Holder::Session(_)) {
            return None;
        }
        let Holder::Session(session) = std::mem::replace(entry, Entry::EMPTY).holder else { return None };
        self.free.push(slot);
        self.live_count -= 1;
        self.wheel.cancel(slot);
        self.by_handle.remove(&session.handle);
        for address in session.inner.into_iter().flatten() {
            self.by_inner.remove(self.by_inner.home(&address), slot);
        }
        Some(session)
    }

    /// The session in `slot`.
    #[inline]
    pub fn session(&mut self, slot: u32) -> Option<&mut Session> {
        match &mut self.entries.get_mut(slot as usize)?.holder {
            Holder::Session(session) => Some(session),
            _ => None,
        }
    }

    /// Every session with its slot, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Session)> {
        self.entries.iter().enumerate().filter_map(|(slot, entry)| match &entry.holder {
            Holder::Session(session) => Some((slot as u32, session.as_ref())),
            _ => None,
        })
    }

    /// Where `cid` leads.
    #[inline]
    pub fn by_cid(&mut self, cid: Cid) -> Option<CidEntry> {
        let slot = self.slot_of(cid);
        let entry = self.entries.get(slot as usize)?;
        let role = entry.role_of(cid)?;
        match entry.holder {
            Holder::Session(_) => {
                let generation = entry.generations[role as usize];
                Some(CidEntry::Session { slot, role, generation })
            }
            Holder::Pending(place) => Some(CidEntry::Pending(place)),
            Holder::Nobody => None,
        }
    }

    /// Fetches what these datagrams (the first 128 of them) are looked up in. Reading memory that is in no cache takes longer
    /// than handling a datagram, so the entries of all of them are fetched at once. A session is fetched when a datagram is
    /// handled that comes a little before its own ([`Table::slot_of`]), and its replay window after that: nothing waits for
    /// what was asked for a moment ago. Whatever does not get past its entry costs no more than that.
    pub fn foresee(&mut self, headers: impl Iterator<Item = DataHeader>) {
        self.foreseen.clear();
        self.foreseen_at = 0;
        for header in headers.take(FORESEEN_MAX) {
            let slot = self.cids.slot(header.cid);
            self.entries.get(slot as usize).into_iter().for_each(prefetch::line);
            self.foreseen.push(Foreseen { header, slot });
        }
        (0..SESSION_AHEAD).for_each(|at| self.foresee_session(at));
        (0..WINDOW_AHEAD).for_each(|at| self.foresee_window(at));
    }

    /// Fetches the session of a datagram that comes, by its place among those.
    #[inline]
    fn foresee_session(&self, at: usize) {
        self.foreseen.get(at).and_then(|next| self.awaited(next)).into_iter().for_each(Session::foresee);
    }

    /// Fetches its replay window, to which the session leads.
    #[inline]
    fn foresee_window(&self, at: usize) {
        if let Some((next, session)) =
            self.foreseen.get(at).and_then(|next| Some((next, self.awaited(next)?)))
        {
            session.binding.channel.traffic.recv.foresee(next.header.pn);
        }
    }

    /// The session of a datagram, unless that is refused without it.
    #[inline]
    fn awaited(&self, next: &Foreseen) -> Option<&Session> {
        let entry = self.entries.get(next.slot as usize)?;
        let role = entry.role_of(next.header.cid)?;
        is_near(next.header.generation, entry.generations[role as usize]).then_some(())?;
        entry.session()
    }

    /// The slot of a CID, worked out already if its datagram was foreseen: those come in the same order, and only the
    /// first of several of one flow was announced.
    #[inline]
    fn slot_of(&mut self, cid: Cid) -> u32 {
        let here = self.foreseen_at;
        for at in [here, here + 1] {
            let next = self.foreseen.get(at);
            if let Some(slot) = next.filter(|next| next.header.cid == cid).map(|next| next.slot) {
                if at > here || at == 0 {
                    self.foreseen_at = at;
                    self.foresee_session(at + SESSION_AHEAD);
                    self.foresee_window(at + WINDOW_AHEAD);
                }
                return slot;
            }
        }
        self.cids.slot(cid)
    }

    /// The same as [`Table::foresee`] for packets to these inner addresses.
    pub fn foresee_inner(&self, destinations: impl Iterator<Item = IpAddr>) {
        let mut homes = [Home::default(); FORESEEN_MAX];
        let mut count = 0;
        for (place, address) in homes.iter_mut().zip(destinations) {
            *place = self.by_inner.home(&address);
            self.by_inner.foresee(*place);
            count += 1;
        }
        let slots = || homes[..count].iter().filter_map(|home| self.by_inner.guess(*home));
        slots().filter_map(|slot| self.entries.get(slot as usize)).for_each(prefetch::line);
        slots().filter_map(|slot| self.peek(slot)).for_each(Session::foresee);
    }

    fn peek(&self, slot: u32) -> Option<&Session> {
        self.entries.get(slot as usize)?.session()
    }

    /// Makes a fresh CID valid in a role, in which it follows upon the one before; `false`, and no change, when it
    /// does not lead to `slot` or is valid there already.
    pub fn claim_cid(&mut self, cid: Cid, slot: u32, role: CidRole) -> bool {
        let free = cid != NO_CID && self.cids.slot(cid) == slot;
        let Some(entry) = self.entries.get_mut(slot as usize).filter(|_| free) else { return false };
        let fresh = entry.role_of(cid).is_none();
        if fresh {
            entry.put(cid, role, 0);
        }
        fresh
    }

    /// Gives a CID, valid until now, another role; `generation` was the last one received under it.
    pub fn move_cid(&mut self, cid: Cid, role: CidRole, generation: u8) {
        self.release_cid(cid);
        if let Some(entry) = self.entries.get_mut(self.cids.slot(cid) as usize) {
            entry.put(cid, role, generation);
        }
    }

    /// A packet of this key generation was opened under the CID in that role.
    #[inline]
    pub fn note_generation(&mut self, slot: u32, role: CidRole, generation: u8) {
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            entry.generations[role as usize] = generation;
        }
    }

    /// Makes `cid` invalid.
    pub fn release_cid(&mut self, cid: Cid) {
        let Some(entry) = self.entries.get_mut(self.cids.slot(cid) as usize) else { return };
        if let Some(role) = entry.role_of(cid) {
            entry.cids[role as usize] = NO_CID;
        }
    }

    /// The slot of the session with this handle.
    pub fn by_handle(&self, handle: Handle) -> Option<u32> {
        self.by_handle.get(&handle).copied()
    }

    /// The slot of the session that holds this inner address.
    pub fn by_inner(&self, address: &IpAddr) -> Option<u32> {
        let holds = |slot| self.peek(slot).is_some_and(|session| session.inner.contains(&Some(*address)));
        self.by_inner.find(self.by_inner.home(address), holds)
    }
}

const _: () = assert!(size_of::<Entry>() == 64);

#[cfg(test)]
mod tests;
