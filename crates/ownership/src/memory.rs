//! The store that lives and dies with the process: one gateway, nothing durable.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jumpvpn_events::{Reason, Time};

use crate::{
    Answer, Expected, Fence, Handle, OwnershipStore, RecordState, Request, RequestId, Rev, SessionRecord,
};

/// Ownership in memory, with a fixed number of places.
///
/// Live sessions and tombstones share the places. When all are taken, tombstones whose time is over make room; a
/// live session never does. Nobody else can own its sessions, so its fence never ends.
#[derive(Clone, Debug)]
pub struct MemoryStore {
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

impl OwnershipStore for MemoryStore {
    fn submit(&mut self, request: &Request, now: Time) -> Answer {
        match request {
            Request::Create { id, record } => self.create(*id, record, now),
            Request::Update { id, expected, record } => self.update(*id, expected, record),
            Request::Terminate { id, handle, expected, reason_number } => {
                self.terminate(*id, *handle, expected, *reason_number)
            }
            Request::Read { id, handle } => self.read(*id, *handle),
        }
    }

    fn fence(&self) -> Fence {
        self.fence
    }
}

impl MemoryStore {
    /// An empty store for so many records. `epoch` is the fencing number of this incarnation, from 1.
    pub fn new(capacity: usize, epoch: u64) -> MemoryStore {
        MemoryStore {
            capacity,
            fence: Fence { epoch, valid_until: Time::MAX },
            last_rev: Rev(0),
            records: BTreeMap::new(),
            addresses: BTreeMap::new(),
            tombstones: BTreeSet::new(),
        }
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
            return entry.repeated(id).unwrap_or_else(|| entry.conflict(id));
        }
        let holder = record.addresses().find_map(|address| self.addresses.get(&address));
        if let Some(entry) = holder.and_then(|handle| self.records.get(handle)) {
            return entry.conflict(id);
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
            return Answer::Conflict { id, current: None };
        };
        if let Some(answer) = entry.repeated(id) {
            return answer;
        }
        if !entry.matches(expected) {
            return entry.conflict(id);
        }
        if !may_follow(&entry.record, record) {
            return Answer::Refused { id, reason: Reason::StateForbidden };
        }
        let taken = |handle: &&Handle| **handle != record.handle;
        let holder = record.addresses().find_map(|address| self.addresses.get(&address).filter(taken));
        if let Some(entry) = holder.and_then(|handle| self.records.get(handle)) {
            return entry.conflict(id);
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
            return Answer::Conflict { id, current: None };
        };
        if let Some(answer) = entry.repeated(id) {
            return answer;
        }
        if !entry.matches(expected) {
            return entry.conflict(id);
        }
        let mut record = entry.record.clone();
        record.state = RecordState::Terminated { reason_number };
        record.version = record.version.saturating_add(1);
        self.write(id, record)
    }

    fn read(&self, id: RequestId, handle: Handle) -> Answer {
        match self.records.get(&handle) {
            Some(entry) => Answer::Found { id, rev: entry.rev, record: Box::new(entry.record.clone()) },
            None => Answer::Absent { id },
        }
    }

    /// Puts the record in place of the one with its handle, with both indexes.
    fn write(&mut self, id: RequestId, record: SessionRecord) -> Answer {
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
        Answer::Committed { id, rev }
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

    fn conflict(&self, id: RequestId) -> Answer {
        Answer::Conflict { id, current: Some(Box::new((self.rev, self.record.clone()))) }
    }
}

/// Whether `new` may take the place of the live record `old`.
fn may_follow(old: &SessionRecord, new: &SessionRecord) -> bool {
    let same_session = (new.sid, new.peer) == (old.sid, old.peer);
    let not_backwards = new.owner_epoch >= old.owner_epoch && new.version >= old.version;
    same_session && not_backwards && new.state == RecordState::Live
}

#[cfg(test)]
mod tests;
