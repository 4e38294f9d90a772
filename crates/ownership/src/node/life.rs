//! The own right to act: joining, heartbeats, the fence, the own tombstone.

use std::collections::VecDeque;

use jumpvpn_events::Time;
use rand_core::CryptoRng;

use super::keys::{self, Heartbeat};
use super::mutant::Mutant;
use super::{Node, Purpose, RETRY, Standing};
use crate::{Ask, Change, Fence, Incarnation, Key, Operation, Outcome, Rev, StoreError, Stored, Transaction};

/// What the operation under way is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// Which store is this?
    Cell,
    /// It is empty: this node is the first.
    Found,
    /// Which incarnation of this node was there before?
    Name,
    /// Is it dead?
    Former(Incarnation),
    /// It is, or will be now.
    BuryFormer(Incarnation),
    /// Is there room?
    Count,
    Enter,
    Beat,
    BurySelf,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Life {
    standing: Standing,
    pub me: Incarnation,
    joins: u64,
    fence: Time,
    pub generation: Option<u64>,
    pub clone_seen: bool,
    draining: bool,
    stopping: bool,
    step: Step,
    /// What is repeated until its outcome is known; sent at that time, for the first time at the other one.
    operation: Option<Operation>,
    sent: Time,
    first_sent: Time,
    under_way: bool,
    due: Option<Time>,
    /// What stands under the key of this node's name.
    name: Option<Stored>,
    /// The heartbeat of the incarnation before, since when it has stood still.
    former: Option<(Rev, Time)>,
    /// The last heartbeat that is known to be there, and the one after it.
    beat: Option<Stored>,
    next_beat: Option<Box<[u8]>>,
    counter: u64,
    /// Revisions of the last heartbeats that were confirmed, of former incarnations too, and when that was heard. Oldest first.
    heard: VecDeque<(Time, Rev)>,
}

/// Confirmed heartbeats that are remembered: half a second apart they cover 80 s, twice the longest that a birth may take from the
/// answer to its handshake to the last question to the store (eight times the 5 s of `PENDING_TTL` in `engine`).
const HEARD_MAX: usize = 160;

impl Life {
    pub fn new(generation: Option<u64>) -> Life {
        Life {
            standing: Standing::Joining,
            me: Incarnation([0; 16]),
            joins: 0,
            fence: Time::ZERO,
            generation,
            clone_seen: false,
            draining: false,
            stopping: false,
            step: Step::Cell,
            operation: None,
            sent: Time::ZERO,
            first_sent: Time::ZERO,
            under_way: false,
            due: None,
            name: None,
            former: None,
            beat: None,
            next_beat: None,
            counter: 0,
            heard: VecDeque::new(),
        }
    }

    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    pub const fn is_draining(&self) -> bool {
        self.draining
    }

    pub fn fence(&self) -> Fence {
        let member = self.standing == Standing::Member;
        Fence { epoch: self.joins, valid_until: if member { self.fence } else { Time::ZERO } }
    }

    pub fn due(&self) -> Option<Time> {
        self.due.filter(|_| !self.under_way)
    }

    pub fn set_draining(&mut self, draining: bool, now: Time) {
        if self.draining != draining {
            self.draining = draining;
            if self.standing == Standing::Member && self.due.is_some() {
                self.due = Some(now);
            }
        }
    }

    pub const fn stop_after_burial(&mut self) {
        self.stopping = true;
    }

    pub fn stop_joining(&mut self) {
        self.standing = Standing::Stopped;
        self.due = None;
        self.operation = None;
    }
}

impl<R: CryptoRng> Node<R> {
    /// Begins to join as a new incarnation.
    pub(super) fn join(&mut self, now: Time) {
        let mut random = [0; 12];
        self.rng.fill_bytes(&mut random);
        self.life.me = Incarnation::new(self.config.node_id, random);
        self.life.standing = Standing::Joining;
        (self.life.former, self.life.beat, self.life.next_beat) = (None, None, None);
        self.live(Step::Cell, Operation::Read(keys::cell()), now);
    }

    /// Begins the next operation; it is repeated, unchanged, until its outcome is known.
    fn live(&mut self, step: Step, operation: Operation, now: Time) {
        self.life.step = step;
        self.life.first_sent = now;
        self.life.operation = Some(operation);
        self.send_again(now);
    }

    fn send_again(&mut self, now: Time) {
        let Some(operation) = self.life.operation.clone() else { return };
        (self.life.sent, self.life.under_way, self.life.due) = (now, true, None);
        self.outbox.submit(Purpose::Life, operation);
    }

    pub(super) fn life_timeout(&mut self, now: Time) {
        if self.life.due().is_none_or(|due| now < due) {
            return;
        }
        if *self.life.standing() == Standing::Member && self.life.operation.is_none() {
            self.beat(now);
        } else {
            self.send_again(now);
        }
    }

    /// What the own right hangs on is settled before anything else is believed.
    pub(super) fn check_fence(&mut self, now: Time) {
        if self.is_member() && !self.life.fence().allows(now) {
            self.fence_off(now);
        }
    }

    pub(super) fn fence_off(&mut self, now: Time) {
        self.counts.fenced += 1;
        self.lose_right();
        self.bury_self(Standing::Fenced, now);
    }

    /// Others need not wait: the own tombstone is written as soon as the store answers. No heartbeat of this incarnation
    /// follows.
    pub(super) fn bury_self(&mut self, standing: Standing, now: Time) {
        self.life.standing = standing;
        let me = self.life.me;
        let value = keys::encode_tombstone(me, self.config.clock.wall_ms(now));
        let transaction = Transaction {
            compares: vec![keys::absent(keys::tombstone(me))],
            changes: vec![
                Change::Put { key: keys::tombstone(me), value },
                Change::Delete { key: keys::heartbeat(me) },
            ],
        };
        self.live(Step::BurySelf, Operation::Commit(transaction), now);
    }

    /// The store cannot be believed any more: nothing is asked of it again.
    pub(super) fn lose_store(&mut self, error: StoreError) {
        if self.is_member() {
            self.counts.fenced += 1;
            self.lose_right();
        }
        self.outbox.clear();
        self.life.stop_joining();
        self.life.standing = Standing::Lost(error);
    }

    pub(super) fn life_outcome(&mut self, outcome: Outcome, now: Time) {
        self.life.under_way = false;
        if outcome == Outcome::Unknown {
            self.life.due = Some(now.max(self.life.sent + RETRY));
            return;
        }
        self.life.operation = None;
        match self.life.step {
            Step::Cell => self.cell_read(outcome, now),
            Step::Found => self.live(Step::Cell, Operation::Read(keys::cell()), now),
            Step::Name => self.name_read(outcome, now),
            Step::Former(former) => self.former_read(former, outcome, now),
            Step::BuryFormer(former) => self.former_buried(former, &outcome, now),
            Step::Count => self.counted(&outcome, now),
            Step::Enter => self.entered(&outcome, now),
            Step::Beat => self.beat_answered(&outcome, now),
            Step::BurySelf => self.buried_self(now),
        }
    }

    fn cell_read(&mut self, outcome: Outcome, now: Time) {
        let Outcome::Found(stored) = outcome else { return };
        let Some(stored) = stored else {
            return match self.life.generation {
                // It was known, and it is empty now: restored, or another one.
                Some(_) => self.life.refuse_store(),
                None => self.found_cell(now),
            };
        };
        let known = self.life.generation;
        match keys::decode_cell(&stored.value) {
            Some((cell, found)) if cell == self.config.cell && known.is_none_or(|known| known == found) => {
                self.life.generation = Some(found);
                self.live(Step::Name, Operation::Read(keys::node(self.config.node_id)), now);
            }
            _ => self.life.refuse_store(),
        }
    }

    /// The generation is random, so that no two stores have the same one.
    fn found_cell(&mut self, now: Time) {
        let mut random = [0; 8];
        self.rng.fill_bytes(&mut random);
        let value = keys::encode_cell(self.config.cell, u64::from_le_bytes(random));
        let transaction = Transaction {
            compares: vec![keys::absent(keys::cell())],
            changes: vec![Change::Put { key: keys::cell(), value }],
        };
        self.live(Step::Found, Operation::Commit(transaction), now);
    }

    fn name_read(&mut self, outcome: Outcome, now: Time) {
        let Outcome::Found(stored) = outcome else { return };
        let former = stored.as_ref().and_then(|stored| (*stored.value).try_into().ok()).map(Incarnation);
        self.life.name = stored;
        match former {
            Some(former) => {
                self.live(Step::Former(former), Operation::Read(keys::heartbeat(former)), now);
            }
            None => self.count(now),
        }
    }

    /// An incarnation without a heartbeat has a tombstone, or had one: both are written in one transaction.
    fn former_read(&mut self, former: Incarnation, outcome: Outcome, now: Time) {
        let Outcome::Found(stored) = outcome else { return };
        let Some(stored) = stored else { return self.count(now) };
        let certain = Heartbeat::decode(&stored.value)
            .is_some_and(|beat| beat.is_from(self.config.boot_id, self.config.data_dir));
        let since = match self.life.former {
            Some((rev, since)) if rev == stored.rev => since,
            before => {
                if before.is_some() {
                    self.life.standing = Standing::SameName;
                }
                self.life.former = Some((stored.rev, now));
                now
            }
        };
        if certain || now >= since + self.config.profile.death {
            let operation = Operation::Commit(self.burial(former, &stored, now));
            self.live(Step::BuryFormer(former), operation, now);
        } else {
            self.life.operation = Some(Operation::Read(keys::heartbeat(former)));
            let again = now + self.config.profile.heartbeat;
            self.life.due = Some(again.min(since + self.config.profile.death).max(now + RETRY));
        }
    }

    /// The tombstone of another incarnation.
    pub(super) fn burial(&self, of: Incarnation, beat: &Stored, now: Time) -> Transaction {
        keys::burial(of, self.life.me, beat, self.config.clock.wall_ms(now))
    }

    fn former_buried(&mut self, former: Incarnation, outcome: &Outcome, now: Time) {
        let moved =
            matches!(outcome, Outcome::Conflict(current) if current.first().is_some_and(Option::is_some));
        if moved {
            self.live(Step::Former(former), Operation::Read(keys::heartbeat(former)), now);
        } else {
            self.counts.burials += u64::from(matches!(outcome, Outcome::Committed(_)));
            self.count(now);
        }
    }

    fn count(&mut self, now: Time) {
        if self.config.profile.is_alone() {
            return self.enter(now);
        }
        self.live(Step::Count, self.full_house(), now);
    }

    /// Everybody who lives, or as many as may.
    fn full_house(&self) -> Operation {
        let limit = self.config.limits.gateways;
        Operation::List { prefix: keys::heartbeats(), after: None, limit }
    }

    fn counted(&mut self, outcome: &Outcome, now: Time) {
        let Outcome::Listed { entries, .. } = outcome else { return };
        if entries.len() < self.config.limits.gateways {
            return self.enter(now);
        }
        // A place becomes free when somebody goes.
        self.life.standing = Standing::CellFull;
        self.life.operation = Some(self.full_house());
        self.life.due = Some(now + self.config.profile.heartbeat);
    }

    fn enter(&mut self, now: Time) {
        let me = self.life.me;
        let name = keys::node(self.config.node_id);
        let mut compares = vec![
            match &self.life.name {
                Some(stored) => keys::unchanged(&name, stored.rev, &stored.value),
                None => keys::absent(name.clone()),
            },
            keys::absent(keys::heartbeat(me)),
            keys::absent(keys::tombstone(me)),
        ];
        let former = self.life.name.as_ref().and_then(|stored| (*stored.value).try_into().ok());
        compares.extend(former.map(|former| keys::absent(keys::heartbeat(Incarnation(former)))));
        self.life.counter = 0;
        let value = self.next_heartbeat(now);
        self.life.next_beat = Some(value.clone());
        let changes = vec![put(name, me.0.into()), Change::Put { key: keys::heartbeat(me), value }];
        self.live(Step::Enter, Operation::Commit(Transaction { compares, changes }), now);
    }

    fn entered(&mut self, outcome: &Outcome, now: Time) {
        let Some(value) = self.life.next_beat.take() else { return };
        let (rev, sent) = match outcome {
            Outcome::Committed(rev) => (*rev, self.life.sent),
            // A copy before this one was applied; it was sent at its first time at the earliest.
            Outcome::Conflict(current) => match current.get(1) {
                Some(Some(stored)) if stored.value == value => (stored.rev, self.life.first_sent),
                // Another incarnation of this node was faster.
                _ => return self.join(now),
            },
            _ => return,
        };
        self.life.beat = Some(Stored { rev, value });
        self.life.standing = Standing::Member;
        self.life.joins += 1;
        self.life.fence = Time::ZERO;
        self.extend_fence(sent, now);
        self.asks.push_back(Ask::Rejoined { incarnation: self.life.me });
    }

    /// A revision that the store had reached before that time, as far as this node knew then: whatever has a higher one may have
    /// been written later, and what was written later has. Where nobody else writes there is no such doubt.
    pub(super) fn known_before(&self, then: Time) -> Rev {
        if self.config.profile.is_alone() {
            return Rev(u64::MAX);
        }
        let before = self.life.heard.iter().rev().find(|(heard, _)| *heard < then);
        before.map_or(Rev(0), |(_, rev)| *rev)
    }

    /// From the sending of a heartbeat that is known to be there.
    fn extend_fence(&mut self, sent: Time, now: Time) {
        self.life.hear(now);
        let from = if self.is(Mutant::FenceFromReceipt) { now } else { sent };
        self.life.fence = self.life.fence.max(from + self.config.profile.lease);
        self.life.due =
            (!self.config.profile.is_alone()).then(|| now.max(sent + self.config.profile.heartbeat));
    }

    fn next_heartbeat(&mut self, now: Time) -> Box<[u8]> {
        let mut random = [0; 16];
        self.rng.fill_bytes(&mut random);
        self.life.counter += 1;
        let beat = Heartbeat {
            draining: self.life.draining,
            load: u32::try_from(self.held.len()).unwrap_or(u32::MAX),
            counter: self.life.counter,
            unix_ms: self.config.clock.wall_ms(now),
            random,
            boot_id: self.config.boot_id,
            data_dir: self.config.data_dir,
            public: self.config.public,
            name: self.config.name.clone(),
        };
        beat.encode()
    }

    fn beat(&mut self, now: Time) {
        let Some(last) = self.life.beat.clone() else { return };
        let value = self.next_heartbeat(now);
        self.life.next_beat = Some(value.clone());
        let me = self.life.me;
        let key = keys::heartbeat(me);
        let compares = if self.is(Mutant::BlindHeartbeat) {
            Vec::new()
        } else {
            vec![keys::unchanged(&key, last.rev, &last.value), keys::absent(keys::tombstone(me))]
        };
        let changes = vec![Change::Put { key, value }];
        self.live(Step::Beat, Operation::Commit(Transaction { compares, changes }), now);
    }

    fn beat_answered(&mut self, outcome: &Outcome, now: Time) {
        let Some(value) = self.life.next_beat.take() else { return };
        match outcome {
            Outcome::Committed(rev) => {
                self.counts.heartbeats += 1;
                self.life.beat = Some(Stored { rev: *rev, value });
                self.extend_fence(self.life.sent, now);
            }
            Outcome::Conflict(current) => match current.as_slice() {
                // A copy whose confirmation was lost: the fence stays, the next one follows at once.
                [Some(stored), None] if stored.value == value => {
                    self.life.beat = Some(stored.clone());
                    self.life.hear(now);
                    self.beat(now);
                }
                // Written with this incarnation's name, by somebody else.
                [Some(_), None] => {
                    self.life.clone_seen = true;
                    self.fence_off(now);
                }
                _ => self.fence_off(now),
            },
            _ => {}
        }
    }

    /// Committed, or there already: either way the tombstone stands.
    fn buried_self(&mut self, now: Time) {
        if self.life.standing == Standing::Stopping || self.life.stopping {
            self.life.stop_joining();
        } else {
            self.join(now);
        }
    }
}

impl Life {
    /// The store was at the revision of the last heartbeat, at the least.
    fn hear(&mut self, now: Time) {
        let excess = (self.heard.len() + 1).saturating_sub(HEARD_MAX);
        self.heard.drain(..excess);
        self.heard.extend(self.beat.as_ref().map(|beat| (now, beat.rev)));
    }

    fn refuse_store(&mut self) {
        self.standing = Standing::Foreign;
        self.due = None;
    }
}

fn put(key: Key, value: Box<[u8]>) -> Change {
    Change::Put { key, value }
}
