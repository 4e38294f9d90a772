//! The session table: fixed capacity, constant-time look-up by CID, handle and inner address, one timer each.
use std::net::IpAddr;

use jumpvpn_events::Time;
use jumpvpn_wire::{Cid, Handle};
use rand_core::CryptoRng;
use slab::Slab;

use super::session::Session;
use crate::keyed::{KeyedMap, KeyedState};
use crate::wheel::Wheel;

/// CIDs a session may hold at once: its binding in the previous, present and next key epoch, and the binding
/// that is retiring.
pub(crate) const CIDS_PER_SESSION: usize = 4;

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

/// Where a CID leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CidEntry {
    /// A live session.
    Session { slot: u32, role: CidRole },
    /// A handshake that waits for its confirmation.
    Pending(u32),
}

/// The table. A full one refuses new sessions and never drops a live one to make room.
pub(crate) struct Table {
    sessions: Slab<Box<Session>>,
    capacity: usize,
    by_cid: KeyedMap<Cid, CidEntry>,
    by_handle: KeyedMap<Handle, u32>,
    by_inner: KeyedMap<IpAddr, u32>,
    /// Timers of the sessions, by slot.
    pub wheel: Wheel,
}

impl Table {
    /// A table for `capacity` sessions (and `pending` handshakes), its index memory allotted now.
    pub fn new(capacity: usize, pending: usize, rng: &mut dyn CryptoRng, now: Time) -> Table {
        Table {
            sessions: Slab::with_capacity(capacity),
            capacity,
            by_cid: KeyedMap::with_capacity_and_hasher(
                capacity * CIDS_PER_SESSION + pending,
                KeyedState::new(rng),
            ),
            by_handle: KeyedMap::with_capacity_and_hasher(capacity, KeyedState::new(rng)),
            by_inner: KeyedMap::with_capacity_and_hasher(capacity * 2, KeyedState::new(rng)),
            wheel: Wheel::new(capacity, now),
        }
    }

    /// Number of sessions.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Most sessions it takes.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether one more session fits.
    pub fn has_room(&self) -> bool {
        self.sessions.len() < self.capacity
    }

    /// Enters a session under its handle, inner addresses and binding CID; `None` when the table is full.
    pub fn insert(&mut self, session: Box<Session>) -> Option<u32> {
        if !self.has_room() {
            return None;
        }
        let (handle, inner, cid) = (session.handle, session.inner, session.binding.channel.local_cid);
        // invariant: slab keys stay below `capacity`, which is far below 2^32.
        let slot = self.sessions.insert(session) as u32;
        self.by_handle.insert(handle, slot);
        for address in inner.into_iter().flatten() {
            self.by_inner.insert(address, slot);
        }
        self.by_cid.insert(cid, CidEntry::Session { slot, role: CidRole::Active });
        Some(slot)
    }

    /// Takes a session out, with every index entry that leads to it.
    pub fn remove(&mut self, slot: u32) -> Option<Box<Session>> {
        let session = self.sessions.try_remove(slot as usize)?;
        self.wheel.cancel(slot);
        self.by_handle.remove(&session.handle);
        for address in session.inner.into_iter().flatten() {
            if self.by_inner.get(&address) == Some(&slot) {
                self.by_inner.remove(&address);
            }
        }
        let held = [
            Some(session.binding.channel.local_cid),
            session.previous.as_ref().map(|previous| previous.local_cid),
            session.next.as_ref().map(|next| next.channel.local_cid),
            session.retiring.as_ref().map(|retiring| retiring.local_cid),
        ];
        for cid in held.into_iter().flatten() {
            self.by_cid.remove(&cid);
        }
        Some(session)
    }

    /// The session in `slot`.
    pub fn session(&mut self, slot: u32) -> Option<&mut Session> {
        self.sessions.get_mut(slot as usize).map(Box::as_mut)
    }

    /// Every session with its slot, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Session)> {
        self.sessions.iter().map(|(slot, session)| (slot as u32, session.as_ref()))
    }

    /// Where `cid` leads.
    pub fn by_cid(&self, cid: Cid) -> Option<CidEntry> {
        self.by_cid.get(&cid).copied()
    }

    /// Points `cid` somewhere; `false` when it is taken by something else (nothing changes then).
    pub fn claim_cid(&mut self, cid: Cid, entry: CidEntry) -> bool {
        match self.by_cid.get(&cid) {
            Some(present) if !same_owner(*present, entry) => false,
            _ => {
                self.by_cid.insert(cid, entry);
                true
            }
        }
    }

    /// Forgets `cid`.
    pub fn release_cid(&mut self, cid: Cid) {
        self.by_cid.remove(&cid);
    }

    /// The slot of the session with this handle.
    pub fn by_handle(&self, handle: Handle) -> Option<u32> {
        self.by_handle.get(&handle).copied()
    }

    /// The slot of the session that holds this inner address.
    pub fn by_inner(&self, address: &IpAddr) -> Option<u32> {
        self.by_inner.get(address).copied()
    }
}

fn same_owner(left: CidEntry, right: CidEntry) -> bool {
    match (left, right) {
        (CidEntry::Session { slot: a, .. }, CidEntry::Session { slot: b, .. }) => a == b,
        (CidEntry::Pending(a), CidEntry::Pending(b)) => a == b,
        _ => false,
    }
}
