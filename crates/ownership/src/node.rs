//! The algorithm: who may act for a session, decided over any store that keeps the contract.
//!
//! A node answers its engine's requests, tells it what others ask, renews its own right to act, watches the others', and clears
//! up after the dead. It does no I/O: operations go out by [`Node::poll_operation`] and their outcomes come back by
//! [`Node::handle_outcome`], in any order, some of them never known. The reasoning is in
//! `docs/decisions/0030-ownership-by-heartbeat-and-tombstone.md`.
//!
//! Deliberately not here: stores, threads, clocks, and what a session is made of.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jumpvpn_events::{Reason, Time};
use rand_core::CryptoRng;

use crate::{
    Answer, Ask, Expected, Fence, Handle, Hint, Incarnation, OpId, Operation, Outcome, Owner, RequestId, Rev,
    SessionRecord, StoreError, Ticket,
};

mod config;
mod jobs;
pub(crate) mod keys;
mod life;
mod mail;
mod mutant;
mod outbox;
mod scan;
mod sessions;
mod take;
mod watch;

pub use config::{Limits, NodeConfig, Profile, Upkeep};
pub use mutant::Mutant;

use jobs::Jobs;
use life::Life;
use mail::Mail;
use outbox::{Outbox, Purpose};
use scan::Scan;
use watch::Watch;

/// Between two attempts whose outcomes are unknown, counted from the sending: a store that times out (1 s) is asked again at
/// once, one that refuses is not asked in a circle.
const RETRY: Duration = Duration::from_millis(100);

/// A node, with its source of randomness.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node<R> {
    config: NodeConfig,
    rng: R,
    life: Life,
    watch: Watch,
    mail: Mail,
    scan: Scan,
    jobs: Jobs,
    /// The sessions it owns, as the store has them.
    held: BTreeMap<Handle, Held>,
    /// Incarnations with a tombstone, and since when that is known here.
    dead: BTreeMap<Incarnation, Time>,
    outbox: Outbox,
    op_count: u64,
    answers: VecDeque<Answer>,
    asks: VecDeque<Ask>,
    counts: Counts,
    /// Always `None` in the product.
    mutant: Option<Mutant>,
}

/// A record that is there, with the bytes that compares need.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Held {
    rev: Rev,
    value: Box<[u8]>,
    record: SessionRecord,
}

impl Held {
    fn expected(&self) -> Expected {
        Expected { rev: self.rev, epoch: self.record.owner_epoch, version: self.record.version }
    }
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Outcomes that were unknown.
    pub unknown: u64,
    /// Heartbeats that were confirmed.
    pub heartbeats: u64,
    /// Times the right to act was lost.
    pub fenced: u64,
    /// Other incarnations that this node declared dead.
    pub burials: u64,
    /// Sessions ended because no client claimed them after their owner's death.
    pub swept: u64,
    /// Records that named this node and were held by nobody.
    pub reconciled: u64,
    /// Records and small values that could not be read.
    pub unreadable: u64,
}

/// Where a node stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// On the way in: it may not act yet.
    Joining,
    /// An incarnation of the same node id is still alive; it joins when that one is gone.
    SameName,
    /// The cell has as many nodes as it may have; it joins when one of them is gone.
    CellFull,
    /// It may act while its fence allows it.
    Member,
    /// It has lost its right, writes its own tombstone and joins again.
    Fenced,
    /// It is going.
    Stopping,
    /// It has gone, and its tombstone is written.
    Stopped,
    /// The store belongs to another cell, or is not the one this node knew (its generation differs). It does not join.
    Foreign,
    /// The store itself cannot be believed any more. Nothing but a new start helps.
    Lost(StoreError),
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// The static public key of its gateway.
    pub public: [u8; 32],
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// Sessions it holds.
    pub load: u32,
    /// It is about to go.
    pub draining: bool,
}

/// What a node knows, for people.
#[derive(Clone, Debug)]
pub struct Status {
    /// Where it stands.
    pub standing: Standing,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// Until when it may act.
    pub fence: Fence,
    /// Generation of the store, once it is known; the caller keeps it durably.
    pub store_generation: Option<u64>,
    /// Another copy of this node was seen to write with its name and its memory.
    pub clone_seen: bool,
    /// It is about to go.
    pub draining: bool,
    /// Sessions it holds.
    pub held_count: usize,
    /// Requests that wait for the store or for another node.
    pub pending_count: usize,
    /// The others that live.
    pub peers: Vec<Peer>,
    /// What has happened since the start.
    pub counts: Counts,
}

impl<R: CryptoRng> Node<R> {
    /// A node that begins to join.
    ///
    /// # Panics
    /// If the profile is not safe ([`Profile::is_safe`]).
    pub fn new(config: NodeConfig, rng: R, now: Time) -> Node<R> {
        assert!(config.profile.is_alone() || config.profile.is_safe(), "two owners at once could be");
        let mut node = Node {
            life: Life::new(config.store_generation),
            config,
            rng,
            watch: Watch::default(),
            mail: Mail::default(),
            scan: Scan::default(),
            jobs: Jobs::default(),
            held: BTreeMap::new(),
            dead: BTreeMap::new(),
            outbox: Outbox::default(),
            op_count: 0,
            answers: VecDeque::new(),
            asks: VecDeque::new(),
            counts: Counts::default(),
            mutant: None,
        };
        node.join(now);
        node
    }

    /// Takes a request in. Its answer comes by [`Node::poll_answer`], at the latest when the fence ends.
    pub fn handle_request(&mut self, request: crate::Request, now: Time) {
        self.check_fence(now);
        if !self.is_member() {
            let id = request.id();
            self.answers.push_back(Answer::Refused { id, reason: Reason::FenceExpired });
            return;
        }
        self.admit(request, now);
    }

    /// Takes an outcome in. One that nobody waits for any more is ignored.
    pub fn handle_outcome(&mut self, ticket: Ticket, outcome: Outcome, now: Time) {
        self.check_fence(now);
        if let Outcome::Lost(error) = outcome {
            self.lose_store(error);
            return;
        }
        let Some(purpose) = self.outbox.settle(ticket) else { return };
        self.counts.unknown += u64::from(outcome == Outcome::Unknown);
        match purpose {
            Purpose::Life => self.life_outcome(outcome, now),
            Purpose::Watch => self.watch_outcome(outcome, now),
            Purpose::Burial(of) => self.burial_outcome(of, outcome, now),
            Purpose::Mail => self.mail_outcome(outcome, now),
            Purpose::Scan => self.scan_outcome(outcome, now),
            Purpose::Job(key) => self.job_outcome(key, outcome, now),
            Purpose::Sweep => self.counts.swept += u64::from(matches!(outcome, Outcome::Committed(_))),
            Purpose::Reconcile => {
                self.counts.reconciled += u64::from(matches!(outcome, Outcome::Committed(_)));
            }
            Purpose::Nothing => {}
        }
        self.check_fence(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        self.check_fence(now);
        self.life_timeout(now);
        if self.is_member() && !self.config.profile.is_alone() {
            self.watch_timeout(now);
            self.mail_timeout(now);
            self.scan_timeout(now);
        }
        self.jobs_timeout(now);
    }

    /// When [`Node::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Time> {
        let member = self.is_member() && !self.config.profile.is_alone();
        let rounds = [self.watch_due(), self.mail.due(), self.scan.due()].into_iter().flatten();
        let rounds = rounds.filter(|_| member);
        let fence = Some(self.fence().valid_until).filter(|_| member);
        self.life.due().into_iter().chain(rounds).chain(fence).chain(self.jobs.due()).min()
    }

    /// The next operation for the store.
    pub fn poll_operation(&mut self) -> Option<(Ticket, Operation)> {
        self.outbox.poll()
    }

    /// The next answer for the engine.
    pub fn poll_answer(&mut self) -> Option<Answer> {
        self.answers.pop_front()
    }

    /// What the engine is asked next.
    pub fn poll_ask(&mut self) -> Option<Ask> {
        self.asks.pop_front()
    }

    /// Somebody says that something has changed in a mailbox. If it is this node's, or one that it has put a wish into, it
    /// looks at once.
    pub fn hint(&mut self, hint: &Hint, now: Time) {
        let (place, rev) = match hint {
            Hint::Anything => (None, Rev(0)),
            Hint::Changed { key, rev } => match keys::request_parts(key) {
                Some(place) => (Some(place), *rev),
                None => return,
            },
        };
        if place.is_none_or(|(owner, _)| owner == self.life.me) {
            self.mail.look_at_once(now);
        }
        self.hurry_waiting(place, rev, now);
    }

    /// Tells the others whether this node is about to go.
    pub fn drain(&mut self, draining: bool, now: Time) {
        self.life.set_draining(draining, now);
    }

    /// Gives the right to act up for good: sessions that are left are taken over by others at once. Standing is
    /// [`Standing::Stopped`] when the tombstone is written.
    pub fn stop(&mut self, now: Time) {
        if self.is_member() {
            self.lose_right();
            self.bury_self(Standing::Stopping, now);
        } else if self.life.standing() == &Standing::Fenced {
            self.life.stop_after_burial();
        } else if self.life.standing() != &Standing::Stopping {
            self.life.stop_joining();
            self.outbox.clear();
        }
    }

    /// Until when the node may act.
    pub fn fence(&self) -> Fence {
        self.life.fence()
    }

    /// Where it stands.
    pub fn standing(&self) -> &Standing {
        self.life.standing()
    }

    /// Its incarnation; a new one after each loss of the fence.
    pub fn incarnation(&self) -> Incarnation {
        self.life.me
    }

    /// What it knows, for people.
    pub fn status(&self) -> Status {
        Status {
            standing: self.life.standing().clone(),
            incarnation: self.life.me,
            fence: self.fence(),
            store_generation: self.life.generation,
            clone_seen: self.life.clone_seen,
            draining: self.life.is_draining(),
            held_count: self.held.len(),
            pending_count: self.jobs.len(),
            peers: self.watch.peers(self.life.me),
            counts: self.counts,
        }
    }

    fn is_member(&self) -> bool {
        *self.life.standing() == Standing::Member
    }

    /// Whose a record is, if that is known without asking the store.
    fn known_owner(&self, owner: Incarnation) -> Option<Owner> {
        if owner == self.life.me {
            return Some(Owner::Me);
        }
        self.dead.contains_key(&owner).then_some(Owner::Dead)
    }

    /// A number for a write that was never used before: the second half of the incarnation, which is random, and a count.
    fn next_op(&mut self) -> OpId {
        self.op_count += 1;
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.life.me.0[8..]);
        bytes[8..].copy_from_slice(&self.op_count.to_be_bytes());
        OpId(bytes)
    }

    fn refuse(&mut self, id: RequestId, reason: Reason) {
        self.answers.push_back(Answer::Refused { id, reason });
    }

    /// The end of everything that hangs on the right to act: the engine is told first.
    fn lose_right(&mut self) {
        self.asks.push_back(Ask::Fenced);
        self.outbox.clear();
        for id in self.jobs.clear() {
            self.refuse(id, Reason::FenceExpired);
        }
        self.held.clear();
        self.watch = Watch::default();
        self.mail = Mail::default();
        self.scan = Scan::default();
    }

    /// The same node, broken on purpose.
    #[cfg(any(test, feature = "mutants"))]
    pub fn break_by(&mut self, mutant: Mutant) {
        self.mutant = Some(mutant);
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}

#[cfg(test)]
mod tests;
