//! Ownership for one gateway, answered at once: nothing durable.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jumpvpn_events::{Reason, Time};

use crate::{
    Answer, Expected, Fence, Handle, Incarnation, Owner, RecordState, Request, RequestId, Rev, SessionRecord,
};

/// Ownership in memory, with a fixed number of places.
///
/// Live sessions and tombstones share the places. When all are taken, tombstones whose time is over make room; a
/// live session never does. Nobody else can own its sessions, so its fence never ends.
#[derive(Clone, Debug)]
pub struct Ledger {
    me: Incarnation,
    capacity: usize,
    fence: Fence,
    last_rev: Rev,
    records: BTreeMap<Handle, Entry>,
    /// Inner addresses of live sessions.
    addresses: BTreeMap<IpAddr, Handle>,
    /// Terminated sessions by the time until which they are kept.
    tombstones: BTreeSet<(Time, Handle)>,
}

#[derive(Clone, Debug)]
struct Entry {
    rev: Rev,
    /// The request that wrote it, to recognise its repetition.
    written_by: RequestId,
    record: SessionRecord,
}

impl Ledger {
    /// An empty store for so many records. `epoch` is the fencing number of this incarnation, from 1.
    pub fn new(capacity: usize, epoch: u64) -> Ledger {
        let mut random = [0; 12];
        random[..8].copy_from_slice(&epoch.to_le_bytes());
        Ledger {
            me: Incarnation::new([0; 4], random),
            capacity,
            fence: Fence { epoch, valid_until: Time::MAX },
            last_rev: Rev(0),
            records: BTreeMap::new(),
            addresses: BTreeMap::new(),
            tombstones: BTreeSet::new(),
        }
    }

    /// Carries out one request.
    pub fn submit(&mut self, request: &Request, now: Time) -> Answer {
        match request {
            Request::Create { id, record } => self.create(*id, record, now),
            Request::Update { id, expected, record } => self.update(*id, expected, record),
            Request::Terminate { id, handle, expected, reason_number } => {
                self.terminate(*id, *handle, expected, *reason_number)
            }
            Request::Read { id, handle } => self.read(*id, *handle),
            Request::Take { id, seen, record } => self.take(*id, seen, record),
            // Nobody else is there to give a session to, or to ask for one.
            Request::Release { id, .. } => Answer::Refused { id: *id, reason: Reason::NotOwner },
            Request::Decline { id, .. } => Answer::Noted { id: *id },
        }
    }

    /// The right to act.
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// Puts a record there as another gateway would have written it, for tests; `false` if its handle is in use.
    pub fn plant(&mut self, record: SessionRecord) -> bool {
        let free = !self.records.contains_key(&record.handle);
        if free {
            self.put(RequestId(u64::MAX), record);
        }
        free
    }

    /// Records kept now, tombstones included.
    pub fn record_count(&self) -> usize {
        self.records.len()
    }

    /// Drops the tombstones whose time is over, and says how many.
    pub fn evict(&mut self, now: Time) -> usize {
        let mut count = 0;
        while let Some((_, handle)) = self.tombstones.first().copied().filter(|(until, _)| *until <= now) {
            self.tombstones.pop_first();
            self.records.remove(&handle);
            count += 1;
        }
        count
    }

    /// A live session is worth more than the memory of a dead one: handles never repeat, so that an absent record and
    /// a tombstone say the same.
    fn drop_oldest_tombstone(&mut self) {
        if let Some((_, handle)) = self.tombstones.pop_first() {
            self.records.remove(&handle);
        }
    }

    fn create(&mut self, id: RequestId, record: &SessionRecord, now: Time) -> Answer {
        if record.state != RecordState::Live {
            return Answer::Refused { id, reason: Reason::StateForbidden };
        }
        if let Some(entry) = self.records.get(&record.handle) {
            return entry.repeated(id).unwrap_or_else(|| self.conflict(id, entry));
        }
        let holder = record.addresses().find_map(|address| self.addresses.get(&address));
        if let Some(entry) = holder.and_then(|handle| self.records.get(handle)) {
            return self.conflict(id, entry);
        }
        if self.records.len() >= self.capacity {
            self.evict(now);
        }
        if self.records.len() >= self.capacity {
            self.drop_oldest_tombstone();
        }
        if self.records.len() >= self.capacity {
            return Answer::Refused { id, reason: Reason::TableFull };
        }
        self.write(id, record.clone())
    }

    fn update(&mut self, id: RequestId, expected: &Expected, record: &SessionRecord) -> Answer {
        let Some(entry) = self.records.get(&record.handle) else {
            return Answer::Conflict { id, current: None, owner: None };
        };
        if let Some(answer) = entry.repeated(id) {
            return answer;
        }
        if !entry.matches(expected) {
            return self.conflict(id, entry);
        }
        if !may_follow(&entry.record, record) {
            return Answer::Refused { id, reason: Reason::StateForbidden };
        }
        let taken = |handle: &&Handle| **handle != record.handle;
        let holder = record.addresses().find_map(|address| self.addresses.get(&address).filter(taken));
        if let Some(entry) = holder.and_then(|handle| self.records.get(handle)) {
            return self.conflict(id, entry);
        }
        self.write(id, record.clone())
    }

    fn terminate(
        &mut self,
        id: RequestId,
        handle: Handle,
        expected: &Expected,
        reason_number: u16,
    ) -> Answer {
        let Some(entry) = self.records.get(&handle) else {
            return Answer::Conflict { id, current: None, owner: None };
        };
        if let Some(answer) = entry.repeated(id) {
            return answer;
        }
        if !entry.matches(expected) {
            return self.conflict(id, entry);
        }
        let mut record = entry.record.clone();
        record.state = RecordState::Terminated { reason_number };
        record.version = record.version.saturating_add(1);
        self.write(id, record)
    }

    fn read(&self, id: RequestId, handle: Handle) -> Answer {
        match self.records.get(&handle) {
            Some(entry) => {
                let owner = self.owner_of(&entry.record);
                Answer::Found { id, rev: entry.rev, record: Box::new(entry.record.clone()), owner }
            }
            None => Answer::Absent { id },
        }
    }

    fn take(&mut self, id: RequestId, seen: &(Rev, SessionRecord), record: &SessionRecord) -> Answer {
        let expected = Expected { rev: seen.0, epoch: seen.1.owner_epoch, version: seen.1.version };
        if record.owner_epoch.checked_sub(1) != Some(seen.1.owner_epoch) {
            return Answer::Refused { id, reason: Reason::StateForbidden };
        }
        match self.records.get(&record.handle) {
            Some(entry) if self.owner_of(&entry.record) == Owner::Alive => {
                Answer::Refused { id, reason: Reason::OwnerAlive }
            }
            _ => self.update(id, &expected, record),
        }
    }

    fn owner_of(&self, record: &SessionRecord) -> Owner {
        if record.owner == self.me { Owner::Me } else { Owner::Alive }
    }

    fn conflict(&self, id: RequestId, entry: &Entry) -> Answer {
        let owner = Some(self.owner_of(&entry.record));
        Answer::Conflict { id, current: Some(Box::new((entry.rev, entry.record.clone()))), owner }
    }

    fn write(&mut self, id: RequestId, record: SessionRecord) -> Answer {
        Answer::Committed { id, rev: self.put(id, SessionRecord { owner: self.me, ..record }) }
    }

    /// Puts the record in place of the one with its handle, with both indexes.
    fn put(&mut self, id: RequestId, record: SessionRecord) -> Rev {
        if let Some(old) = self.records.remove(&record.handle) {
            old.record.addresses().for_each(|address| {
                self.addresses.remove(&address);
            });
        }
        if record.state == RecordState::Live {
            self.addresses.extend(record.addresses().map(|address| (address, record.handle)));
        } else {
            self.tombstones.insert((record.expires, record.handle));
        }
        let rev = Rev(self.last_rev.0 + 1);
        self.last_rev = rev;
        self.records.insert(record.handle, Entry { rev, written_by: id, record });
        rev
    }
}

impl Entry {
    fn matches(&self, expected: &Expected) -> bool {
        let record = &self.record;
        let now = Expected { rev: self.rev, epoch: record.owner_epoch, version: record.version };
        record.state == RecordState::Live && now == *expected
    }

    fn repeated(&self, id: RequestId) -> Option<Answer> {
        (self.written_by == id).then_some(Answer::Committed { id, rev: self.rev })
    }
}

/// Whether `new` may take the place of the live record `old`.
fn may_follow(old: &SessionRecord, new: &SessionRecord) -> bool {
    let same_session = (new.sid, new.peer) == (old.sid, old.peer);
    let not_backwards = new.owner_epoch >= old.owner_epoch && new.version >= old.version;
    same_session && not_backwards && new.state == RecordState::Live
}

#[cfg(test)]
pub(crate) mod rules;
#[cfg(test)]
mod tests;
