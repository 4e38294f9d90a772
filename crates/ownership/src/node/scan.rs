//! The slow look at everything: orphans, records that name this node but are held by nobody, and what has been kept long
//! enough.
//!
//! Every node looks at every record, one page at a time, and a hash says which of the living nodes does something about it. A page may
//! be out of date: each deed compares what it is based on, so the worst is that nothing happens until the next pass.

use std::collections::{BTreeMap, BTreeSet};

use jumpvpn_events::{Reason, Time};
use rand_core::CryptoRng;

use super::jobs::Task;
use super::keys;
use super::mutant::Mutant;
use super::{Held, Node, Purpose, RETRY};
use crate::{Ask, Handle, Incarnation, Key, Operation, Outcome, RecordState, Rev, SessionRecord, Stored};

/// Entries of a page.
const PAGE: usize = 256;

/// Records whose age is followed at once, at about 60 bytes each. Others wait until these are gone.
const AGING_MAX: usize = 65_536;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Stage {
    #[default]
    Tombstones,
    Wishes,
    Sessions,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Scan {
    under_way: bool,
    asked: Time,
    due: Time,
    stage: Stage,
    after: Option<Key>,
    /// When the pass began.
    began: Time,
    pass: u64,
    tombstones: BTreeMap<Incarnation, Stored>,
    /// Owners that a record of this pass names.
    named: BTreeSet<Incarnation>,
    /// Records that something may have to be done about: since when they have stood like this, and the pass that saw them last.
    aging: BTreeMap<Handle, (Rev, Time, u64)>,
}

impl Scan {
    pub fn due(&self) -> Option<Time> {
        (!self.under_way).then_some(self.due)
    }
}

impl<R: CryptoRng> Node<R> {
    pub(super) fn scan_timeout(&mut self, now: Time) {
        if self.scan.under_way || now < self.scan.due {
            return;
        }
        if self.scan.stage == Stage::Tombstones && self.scan.after.is_none() {
            self.scan.began = now;
            self.scan.pass += 1;
            self.scan.tombstones.clear();
            self.scan.named.clear();
        }
        let prefix = match self.scan.stage {
            Stage::Tombstones => keys::tombstones(),
            Stage::Wishes => keys::mailboxes(),
            Stage::Sessions => keys::sessions(),
        };
        (self.scan.under_way, self.scan.asked) = (true, now);
        let list = Operation::List { prefix, after: self.scan.after.clone(), limit: PAGE };
        self.outbox.submit(Purpose::Scan, list);
    }

    pub(super) fn scan_outcome(&mut self, outcome: Outcome, now: Time) {
        self.scan.under_way = false;
        let Outcome::Listed { entries, more } = outcome else {
            self.scan.due = now.max(self.scan.asked + RETRY);
            return;
        };
        self.scan.after = entries.last().map(|(key, _)| key.clone()).filter(|_| more);
        self.scan.due = now.max(self.scan.asked + self.config.upkeep.page);
        for (key, stored) in entries {
            match self.scan.stage {
                Stage::Tombstones => self.tombstone_seen(&key, stored, now),
                Stage::Wishes => self.wish_seen(key, stored),
                Stage::Sessions => self.session_seen(key, stored, now),
            }
        }
        if more {
            return;
        }
        self.scan.stage = match self.scan.stage {
            Stage::Tombstones => Stage::Wishes,
            Stage::Wishes => Stage::Sessions,
            Stage::Sessions => {
                self.end_pass();
                self.scan.due = now.max(self.scan.began + self.config.upkeep.pass);
                Stage::Tombstones
            }
        };
    }

    fn tombstone_seen(&mut self, key: &Key, stored: Stored, now: Time) {
        if let Some(of) = keys::incarnation_after(&keys::tombstones(), key) {
            self.note_dead(of, now);
            self.scan.tombstones.insert(of, stored);
        }
    }

    /// The mailbox of a dead node: nobody reads it.
    fn wish_seen(&mut self, key: Key, stored: Stored) {
        let owner = keys::request_parts(&key).map(|(owner, _)| owner);
        if owner.is_some_and(|owner| self.scan.tombstones.contains_key(&owner)) {
            self.delete(key, &stored);
        }
    }

    fn session_seen(&mut self, key: Key, stored: Stored, now: Time) {
        let whole = stored.clone();
        let Some(found) = self.decode(stored) else { return };
        self.scan.named.insert(found.record.owner);
        let handle = found.record.handle;
        match found.record.state {
            RecordState::Terminated { .. } => {
                let age = self.age(handle, found.rev, now);
                let kept = age.is_none_or(|since| now < since + self.config.upkeep.retention);
                if (!kept || self.is(Mutant::NoRetention)) && self.is_responsible(handle) {
                    self.delete(key, &whole);
                }
            }
            RecordState::Live if found.record.owner == self.life.me => self.own_seen(&found, now),
            RecordState::Live => self.foreign_seen(&found, now),
        }
    }

    /// A record that names this node. Does it hold it?
    fn own_seen(&mut self, found: &Held, now: Time) {
        let handle = found.record.handle;
        if self.jobs.is_busy(handle) {
            return;
        }
        if self.held.contains_key(&handle) && !self.is(Mutant::ReconcileHeld) {
            return self.end_overdue(handle, now);
        }
        let due =
            self.age(handle, found.rev, now).is_some_and(|since| now >= since + self.config.upkeep.unheld);
        if let Some(ending) = self.ending(found, Reason::LostAtServer.number()).filter(|_| due) {
            self.outbox.submit(Purpose::Reconcile, Operation::Commit(ending));
        }
    }

    /// What the engine serves it ends itself when its time is over. What is left long after that it does not serve: it gave a takeover
    /// or a birth up before it heard that this was made, and no client has come for it since.
    fn end_overdue(&mut self, handle: Handle, now: Time) {
        let Some(held) = self.held.get(&handle) else { return };
        if now.since(held.record.expires) < self.config.upkeep.unheld {
            return;
        }
        let expected = held.expected();
        self.asks.push_back(Ask::Lost { handle });
        self.counts.reconciled += 1;
        self.start_task(None, handle, Task::Terminate(Some(expected), Reason::SessionExpired.number()), now);
    }

    /// The session of a dead owner, whose client has had its time.
    fn foreign_seen(&mut self, found: &Held, now: Time) {
        let record = &found.record;
        let dead = self.dead.get(&record.owner).copied();
        let since = if self.is(Mutant::SweepTheLiving) { dead.or(Some(Time::ZERO)) } else { dead };
        let Some(since) = since else { return };
        let over = now >= since + self.config.orphan_ttl || now >= record.expires;
        if !over || !self.is_responsible(record.handle) || self.jobs.is_busy(record.handle) {
            return;
        }
        if let Some(ending) = self.ending(found, end_reason(record, now).number()) {
            self.outbox.submit(Purpose::Sweep, Operation::Commit(ending));
        }
    }

    /// Since when the record has stood like this, as far as this node has seen; `None` if it cannot follow any more records.
    fn age(&mut self, handle: Handle, rev: Rev, now: Time) -> Option<Time> {
        let pass = self.scan.pass;
        let full = self.scan.aging.len() >= AGING_MAX && !self.scan.aging.contains_key(&handle);
        if full {
            return None;
        }
        let entry = self.scan.aging.entry(handle).or_insert((rev, now, pass));
        if entry.0 != rev {
            *entry = (rev, now, pass);
        }
        entry.2 = pass;
        Some(entry.1)
    }

    /// Everything was seen. A tombstone that was known for long enough when the pass began, and that no record of the pass names, is
    /// named by none: nothing gets a dead owner, and the pages of the pass are younger than the tombstone.
    fn end_pass(&mut self) {
        let pass = self.scan.pass;
        self.scan.aging.retain(|_, (_, _, seen)| *seen == pass);
        for (of, stored) in std::mem::take(&mut self.scan.tombstones) {
            let since = self.dead.get(&of).copied().unwrap_or(self.scan.began);
            let old = self.scan.began >= since + self.config.upkeep.retention;
            let named = self.scan.named.contains(&of);
            if (old && !named) || self.is(Mutant::TombstoneForgotten) {
                self.dead.remove(&of);
                self.delete(keys::tombstone(of), &stored);
            }
        }
    }

    /// Whether it is this node, of those that live, that does something about a record: the one whose hash with the handle is the
    /// highest (rendezvous hashing). Nodes that see different ones alive may both act, or neither in this pass.
    fn is_responsible(&self, handle: Handle) -> bool {
        let mine = weight(self.life.me, handle);
        self.watch.alive().all(|other| weight(other, handle) <= mine)
    }
}

fn end_reason(record: &SessionRecord, now: Time) -> Reason {
    if now >= record.expires { Reason::SessionExpired } else { Reason::LostAtServer }
}

/// FNV-1a over both: spreads evenly, and nobody gains anything by choosing handles.
fn weight(of: Incarnation, handle: Handle) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = of.0.into_iter().chain(handle.number().to_be_bytes()).fold(0xcbf2_9ce4_8422_2325, step);
    // The last bytes alone would hardly reach the highest bits.
    (hash ^ (hash >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
