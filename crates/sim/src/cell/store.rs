//! The cell's store: one linearizable map, and everything that can happen between a question and its outcome.
//!
//! An operation takes effect at one instant between its submission and its outcome, or after an outcome that is "unknown", or
//! never. Nothing of this is visible to who asked, except the outcome.
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jumpvpn_events::Time;
use jumpvpn_ownership::{Incarnation, MemoryStore, Operation, Outcome, StoreError, Ticket};

use crate::dice::Dice;

/// When a question has no answer: what the adapter for etcd waits.
const TIMEOUT: Duration = Duration::from_secs(1);
/// A request may be carried out so long after nobody waits for it any more: far above what a server keeps one for.
pub(crate) const STRAY: Duration = Duration::from_secs(5);
/// Between two pictures of the store that a list may be read from, and how many there are: a list may be a second old.
const PICTURES: (Duration, usize) = (Duration::from_millis(250), 4);

const fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// What is wrong with the store, each until that time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moods {
    /// Answers take up to so long more.
    pub slow: (Duration, Time),
    /// Share of outcomes that get lost, of a thousand; half of those operations are carried out.
    pub lossy: (u32, Time),
    /// One of three members hangs: whoever asks that one waits.
    pub minority: Time,
    /// No quorum: nothing is answered. What was proposed may be carried out when there is one again.
    pub majority: Time,
    /// Its disk is full: reads only.
    pub full: Time,
}

/// How one gateway reaches the store, each direction cut until that time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wire {
    pub there: Time,
    pub back: Time,
}

/// What becomes of an operation.
pub(crate) struct Fate {
    /// When it is carried out, if ever.
    pub applied: Option<Time>,
    /// When there is an outcome.
    pub answered: Time,
    /// Whether that says what came of it.
    pub told: bool,
}

/// An operation under way.
pub(crate) struct Under {
    pub machine: usize,
    pub process: u64,
    /// Who asks.
    pub by: Incarnation,
    pub ticket: Ticket,
    pub operation: Operation,
    /// The life of the store that it was meant for.
    pub life: u32,
    pub told: bool,
    /// What came of it, once that is settled.
    pub outcome: Option<Outcome>,
    /// It will still be carried out.
    pub pending: bool,
    pub answered: bool,
}

/// The store.
pub(crate) struct CellStore {
    pub memory: MemoryStore,
    /// Rises whenever it is emptied or put back: what a store's identity and its revisions tell.
    pub life: u32,
    pub moods: Moods,
    pictures: VecDeque<(Time, MemoryStore)>,
    pub under: BTreeMap<u64, Under>,
    next: u64,
}

impl CellStore {
    pub fn new() -> CellStore {
        CellStore {
            memory: MemoryStore::new(),
            life: 1,
            moods: Moods::default(),
            pictures: VecDeque::new(),
            under: BTreeMap::new(),
            next: 0,
        }
    }

    /// Takes an operation in, and says what will become of it.
    pub fn submit(&mut self, under: Under, wire: Wire, now: Time, dice: &mut Dice) -> (u64, Fate) {
        let write = matches!(under.operation, Operation::Commit(_));
        let mut fate = self.fate(write, wire, now, dice);
        fate.told &= fate.applied.is_some_and(|at| at <= fate.answered);
        self.next += 1;
        let (told, pending) = (fate.told, fate.applied.is_some());
        self.under.insert(self.next, Under { told, pending, ..under });
        (self.next, fate)
    }

    fn fate(&self, write: bool, wire: Wire, now: Time, dice: &mut Dice) -> Fate {
        let moods = &self.moods;
        let trip = |dice: &mut Dice| dice.scale(Duration::from_micros(150), ms(4));
        let mut applied = now + trip(dice);
        if now < moods.slow.1 {
            applied += dice.span(Duration::ZERO, moods.slow.0);
        }
        if now < moods.minority && dice.chance(333) {
            applied += dice.span(ms(300), ms(1_500));
        }
        let timeout = now + dice.pick(&[TIMEOUT, TIMEOUT, ms(20)]);
        let unknown = |applied| Fate { applied, answered: timeout, told: false };
        if now < wire.there || (write && now < moods.full) {
            return unknown(None);
        }
        if now < moods.majority {
            let late = write && dice.chance(300);
            return unknown(late.then(|| moods.majority + dice.span(Duration::ZERO, STRAY / 2)));
        }
        if now < wire.back {
            return unknown(Some(applied));
        }
        if now < moods.lossy.1 && dice.chance(moods.lossy.0) {
            let stray = if dice.chance(200) { dice.span(Duration::ZERO, STRAY) } else { Duration::ZERO };
            return unknown(dice.chance(500).then_some(applied + stray));
        }
        let answered = applied + trip(dice);
        Fate {
            applied: Some(applied),
            answered: answered.min(now + TIMEOUT),
            told: answered <= now + TIMEOUT,
        }
    }

    /// Carries an operation out. What was meant for an earlier life of the store finds another one.
    pub fn apply(&mut self, key: u64, now: Time, dice: &mut Dice) -> Option<(Operation, Outcome)> {
        let under = self.under.get_mut(&key)?;
        let operation = under.operation.clone();
        let outcome = if under.life != self.life {
            Outcome::Lost(StoreError::Foreign)
        } else if matches!(operation, Operation::List { .. }) && dice.chance(250) {
            let picture = self.pictures.front_mut().map(|(_, picture)| picture);
            picture.unwrap_or(&mut self.memory).apply(&operation)
        } else {
            self.memory.apply(&operation)
        };
        (under.outcome, under.pending) = (Some(outcome.clone()), false);
        if under.answered {
            self.under.remove(&key);
        }
        if self.pictures.back().is_none_or(|(at, _)| now >= *at + PICTURES.0) {
            self.pictures.push_back((now, self.memory.clone()));
            if self.pictures.len() > PICTURES.1 {
                self.pictures.pop_front();
            }
        }
        Some((operation, outcome))
    }

    /// Whether an operation under way may still change something: it compares revisions, and none of them comes a second time.
    pub fn may_commit(&self, under: &Under) -> bool {
        let carried_out = || self.memory.clone().apply(&under.operation);
        under.pending && under.life == self.life && matches!(carried_out(), Outcome::Committed(_))
    }

    /// What is told of it, and to whom.
    pub fn answer(&mut self, key: u64) -> Option<(usize, u64, Ticket, Outcome)> {
        let under = self.under.get_mut(&key)?;
        let outcome = under.outcome.clone().filter(|_| under.told).unwrap_or(Outcome::Unknown);
        under.answered = true;
        let told = (under.machine, under.process, under.ticket, outcome);
        if !under.pending {
            self.under.remove(&key);
        }
        Some(told)
    }

    /// It is another store from now on: empty, or as it was some time ago.
    pub fn replace(&mut self, memory: MemoryStore) {
        self.memory = memory;
        self.life += 1;
        self.pictures.clear();
    }
}
