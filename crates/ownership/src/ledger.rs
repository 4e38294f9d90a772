//! Ownership for one gateway, answered at once: a node and a store in memory that nobody else can reach.

use std::collections::BTreeSet;
use std::convert::Infallible;

use jumpvpn_events::{Reason, Time};
use rand_core::{TryCryptoRng, TryRng};

use crate::node::keys;
use crate::{
    Answer, Ask, Change, Fence, Handle, Incarnation, Limits, MemoryStore, Node, NodeConfig, OpId, Operation,
    Profile, RecordState, Request, SessionRecord, Transaction, Upkeep, WallClock,
};

/// Ownership in memory, with a fixed number of places.
///
/// Live sessions and tombstones share the places. When all are taken, tombstones make room, those first whose sessions would have been
/// over first; a live session never does. Nobody else can own its sessions, so its fence never ends.
#[derive(Clone, Debug)]
pub struct Ledger {
    capacity: usize,
    /// Fencing numbers begin behind this one.
    epochs_before: u64,
    node: Node<Seeded>,
    store: MemoryStore,
    record_count: usize,
    /// Terminated sessions by the time at which they would have been over.
    tombstones: BTreeSet<(Time, Handle)>,
}

impl Ledger {
    /// An empty ledger for so many records. `epoch` is the fencing number of this incarnation, from 1.
    pub fn new(capacity: usize, epoch: u64) -> Ledger {
        let config = NodeConfig {
            node_id: [0; 4],
            name: String::new(),
            public: [0; 32],
            cell: 0,
            store_generation: None,
            boot_id: [0; 16],
            data_dir: [0; 16],
            profile: Profile::ALONE,
            clock: WallClock::default(),
            upkeep: Upkeep::DEFAULT,
            limits: Limits::CELL,
            orphan_ttl: std::time::Duration::MAX,
        };
        let mut ledger = Ledger {
            capacity,
            epochs_before: epoch.saturating_sub(1),
            node: Node::new(config, Seeded(epoch), Time::ZERO),
            store: MemoryStore::new(),
            record_count: 0,
            tombstones: BTreeSet::new(),
        };
        ledger.exchange(Time::ZERO);
        ledger
    }

    /// Carries out one request.
    pub fn submit(&mut self, request: &Request, now: Time) -> Answer {
        if matches!(request, Request::Create { .. }) && !self.has_room() {
            return Answer::Refused { id: request.id(), reason: Reason::TableFull };
        }
        self.node.handle_request(request.clone(), now);
        let answer = self.answer(request, now);
        if matches!(answer, Answer::Committed { .. }) {
            self.record_count += usize::from(matches!(request, Request::Create { .. }));
            self.note_end(request);
            if self.record_count > self.capacity {
                self.drop_first_tombstone();
            }
        }
        answer
    }

    /// The right to act.
    pub fn fence(&self) -> Fence {
        let fence = self.node.fence();
        Fence { epoch: fence.epoch + self.epochs_before, ..fence }
    }

    /// Its incarnation.
    pub fn incarnation(&self) -> Incarnation {
        self.node.incarnation()
    }

    /// What the engine is asked next.
    pub fn poll_ask(&mut self) -> Option<Ask> {
        self.node.poll_ask()
    }

    /// Puts a record there as another gateway would have written it, for tests; `false` if its handle is in use or the record is
    /// none.
    pub fn plant(&mut self, record: &SessionRecord) -> bool {
        let Ok(value) = record.encode(OpId([0xff; 16]), WallClock::default()) else { return false };
        let key = keys::session(record.handle);
        let mut changes = vec![Change::Put { key: key.clone(), value: value.into() }];
        let index = |address| Change::Put {
            key: keys::address(address),
            value: keys::handle_bytes(record.handle)[..].into(),
        };
        changes.extend(record.addresses().map(index));
        let compares = vec![keys::absent(key)];
        let planted = self.store.apply(&Operation::Commit(Transaction { compares, changes }));
        let planted = matches!(planted, crate::Outcome::Committed(_));
        self.record_count += usize::from(planted);
        planted
    }

    /// Records kept now, tombstones included.
    pub const fn record_count(&self) -> usize {
        self.record_count
    }

    /// Drops the tombstones whose sessions would be over, and says how many.
    pub fn evict(&mut self, now: Time) -> usize {
        let mut count = 0;
        while self.tombstones.first().is_some_and(|(until, _)| *until <= now) {
            self.drop_first_tombstone();
            count += 1;
        }
        count
    }

    /// A live session is worth more than the memory of a dead one: handles never repeat, so that an absent record and
    /// a tombstone say the same.
    fn has_room(&self) -> bool {
        self.record_count - self.tombstones.len() < self.capacity
    }

    /// Nothing is under way, so no late copy of a creation could apply where the record was.
    fn drop_first_tombstone(&mut self) {
        if let Some((_, handle)) = self.tombstones.pop_first() {
            let changes = vec![Change::Delete { key: keys::session(handle) }];
            self.store.apply(&Operation::Commit(Transaction { compares: Vec::new(), changes }));
            self.record_count -= 1;
        }
    }

    fn note_end(&mut self, request: &Request) {
        let Request::Terminate { handle, .. } = request else { return };
        let operation = Operation::Read(keys::session(*handle));
        let crate::Outcome::Found(Some(stored)) = self.store.apply(&operation) else { return };
        if let Ok((_, record)) = SessionRecord::decode(&stored.value, WallClock::default())
            && record.state != RecordState::Live
        {
            self.tombstones.insert((record.expires, *handle));
        }
    }

    /// Carries everything to the store and back.
    fn exchange(&mut self, now: Time) {
        while let Some((ticket, operation)) = self.node.poll_operation() {
            let outcome = self.store.apply(&operation);
            self.node.handle_outcome(ticket, outcome, now);
        }
    }

    /// The answer to the only request there is. Waiting for somebody else is over at once, because there is nobody.
    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        let mut now = now;
        loop {
            self.exchange(now);
            if let Some(answer) = self.node.poll_answer() {
                return answer;
            }
            let Some(due) = self.node.poll_timeout() else {
                return Answer::Refused { id: request.id(), reason: Reason::Internal };
            };
            now = now.max(due);
            self.node.handle_timeout(now);
        }
    }
}

/// Numbers for names that nobody else has to be unable to guess: splitmix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seeded(pub u64);

impl TryRng for Seeded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| (number >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(mixed ^ (mixed >> 31))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for part in out.chunks_mut(8) {
            let number = self.try_next_u64()?.to_le_bytes();
            part.copy_from_slice(&number[..part.len()]);
        }
        Ok(())
    }
}

/// Enough for a node whose names are seen by itself alone.
impl TryCryptoRng for Seeded {}

#[cfg(test)]
pub(crate) mod rules;
#[cfg(test)]
mod tests;
