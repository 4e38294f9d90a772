//! Creating, changing, ending and reading sessions.

use std::time::Duration;

use jumpvpn_events::{Reason, Time};
use rand_core::CryptoRng;

use super::jobs::{Job, Next, OWNER_WAIT, Step, Task};
use super::keys::{self, Wish, WishKind};
use super::mutant::Mutant;
use super::{Held, Node, RETRY};
use crate::{
    Answer, Change, Handle, Incarnation, Key, Moves, Operation, Outcome, Owner, RecordState, RequestId, Rev,
    SessionRecord, Stored, Transaction,
};

/// Attempts of one request that fail because somebody else was faster.
pub(super) const ROUNDS: u8 = 3;

/// Where compares stand in a transaction that changes a session.
const OWN_TOMBSTONE: usize = 1;
const OWN_HEARTBEAT: usize = 2;
const FURTHER: usize = 3;

impl<R: CryptoRng> Node<R> {
    pub(super) fn begin(&mut self, job: &mut Job, now: Time) -> Next {
        let held = self.held.get(&job.handle).cloned();
        match &job.task {
            Task::Read => read_record(job.handle),
            Task::Create(record, _) => {
                if record.state != RecordState::Live {
                    return self.refusal(job, Reason::StateForbidden);
                }
                self.write(job, now)
            }
            Task::Take(seen, record) => {
                let next_epoch = seen.1.owner_epoch.checked_add(1) == Some(record.owner_epoch);
                if !next_epoch || !may_follow(&seen.1, record) {
                    return self.refusal(job, Reason::StateForbidden);
                }
                match held.filter(|held| held.rev == seen.0) {
                    Some(held) => self.with_base(job, held, now),
                    // Its client is waiting by now. Whether the record is still the same shows when it is given.
                    None if self.watch.is_alive(seen.1.owner) && !self.is(Mutant::TakeFromTheLiving) => {
                        self.ask_owner(job, now)
                    }
                    None => read_record(job.handle),
                }
            }
            Task::Update(expected, _)
            | Task::Terminate(Some(expected), _)
            | Task::Release(Some(expected), ..) => match held {
                Some(held) if held.expected() == *expected => self.with_base(job, held, now),
                _ => read_record(job.handle),
            },
            Task::Terminate(None, _) | Task::Release(None, ..) => match held {
                // Somebody has come by it in the meantime.
                Some(_) => Next::Done,
                None => read_record(job.handle),
            },
        }
    }

    pub(super) fn advance(&mut self, job: &mut Job, outcome: Outcome, now: Time) -> Next {
        match (job.step, outcome) {
            (Step::Record, Outcome::Found(stored)) => self.record_read(job, stored, now),
            (Step::Tombstone, Outcome::Found(stored)) => self.tombstone_read(job, stored.is_some(), now),
            (Step::Write, Outcome::Committed(rev)) => self.settle(job, rev),
            (Step::Write, Outcome::Conflict(current)) => self.write_failed(job, &current, now),
            (Step::Obstacle, Outcome::Found(stored)) => {
                let owner = if stored.is_some() { Owner::Dead } else { Owner::Alive };
                self.tell_obstacle(job, owner, now)
            }
            (Step::Ask, outcome) => self.asked_owner(job, &outcome, now),
            (Step::AwaitRecord, Outcome::Found(stored)) => self.awaited(job, stored, now),
            (Step::AwaitReply, Outcome::Found(stored)) => self.reply_read(job, stored, now),
            (Step::AwaitDeath, Outcome::Found(stored)) => self.death_read(job, stored.is_some(), now),
            (Step::Holder, Outcome::Found(stored)) => self.holder_read(job, stored, now),
            (Step::HolderTombstone, Outcome::Found(stored)) => self.holder_judged(job, stored.is_some(), now),
            (Step::EndHolder, _) => self.try_again(job, now),
            (Step::AskHolder, outcome) => self.asked_holder(job, &outcome, now),
            (Step::AwaitHolder, Outcome::Found(stored)) => self.holder_awaited(job, stored, now),
            (Step::Withdraw, outcome) => self.withdrawn(job, outcome, now),
            // A store that answers a read with a commit.
            _ => self.refusal(job, Reason::Internal),
        }
    }

    pub(super) fn refusal(&self, job: &Job, reason: Reason) -> Next {
        job.id.map_or(Next::Done, |id| Next::Answer(Answer::Refused { id, reason }))
    }

    /// The record, if it can be read.
    pub(super) fn decode(&mut self, stored: Stored) -> Option<Held> {
        let Stored { rev, value } = stored;
        match SessionRecord::decode(&value, self.config.clock) {
            Ok((_, record)) => Some(Held { rev, value, record }),
            Err(_) => {
                self.counts.unreadable += 1;
                None
            }
        }
    }

    fn record_read(&mut self, job: &mut Job, stored: Option<Stored>, now: Time) -> Next {
        let Some(stored) = stored else {
            return match (job.id, &job.task) {
                (Some(id), Task::Read) => Next::Answer(Answer::Absent { id }),
                (id, _) => self.nothing_there(id),
            };
        };
        let Some(found) = self.decode(stored) else { return self.refusal(job, Reason::Internal) };
        let live = found.record.state == RecordState::Live;
        let matches = match &job.task {
            Task::Read => return self.found(job, found),
            Task::Take(seen, _) => seen.0 == found.rev,
            Task::Update(expected, _)
            | Task::Terminate(Some(expected), _)
            | Task::Release(Some(expected), ..) => found.expected() == *expected,
            Task::Terminate(None, _) | Task::Release(None, ..) => found.record.owner == self.life.me,
            Task::Create(..) => false,
        };
        if live && matches { self.with_base(job, found, now) } else { self.obstacle(job, found, now) }
    }

    /// The answer to a look.
    fn found(&self, job: &mut Job, found: Held) -> Next {
        let owner = found.record.owner;
        job.base = Some(found);
        match self.known_owner(owner) {
            Some(owner) => self.tell_found(job, owner),
            None => read_tombstone(Step::Tombstone, owner),
        }
    }

    pub(super) fn tell_found(&self, job: &mut Job, owner: Owner) -> Next {
        let (Some(id), Some(Held { rev, record, .. })) = (job.id, job.base.take()) else { return Next::Done };
        Next::Answer(Answer::Found { id, rev, record: Box::new(record), owner })
    }

    /// The record is what was expected, and live: whose is it?
    pub(super) fn with_base(&mut self, job: &mut Job, base: Held, now: Time) -> Next {
        let owner = base.record.owner;
        let is_wished = self.is_wished(job, base.rev);
        job.base = Some(base);
        match (self.known_owner(owner), &job.task) {
            (Some(Owner::Me), _) if !is_wished => self.keep(job),
            (Some(Owner::Me), _) | (Some(_), Task::Take(..) | Task::Terminate(..)) => self.write(job, now),
            (None, Task::Take(..) | Task::Terminate(..)) => read_tombstone(Step::Tombstone, owner),
            _ => self.refusal(job, Reason::NotOwner),
        }
    }

    /// Whether the wish that is granted, if the change grants one, stands there and is about that revision of the record.
    fn is_wished(&self, job: &Job, rev: Rev) -> bool {
        let wish = job.wished.as_ref().and_then(|stored| Wish::decode(&stored.value));
        match job.task {
            Task::Release(..) | Task::Terminate(None, _) => wish.is_some_and(|wish| wish.of == rev),
            _ => true,
        }
    }

    /// It is not given away, and no copy of the change ever applies.
    fn keep(&self, job: &mut Job) -> Next {
        match (job.id, job.base.take()) {
            (Some(id), Some(base)) => Next::Answer(self.conflict_with(id, &base, Owner::Me)),
            _ => Next::Done,
        }
    }

    fn tombstone_read(&mut self, job: &mut Job, dead: bool, now: Time) -> Next {
        if let Some(base) = job.base.as_ref().filter(|_| dead) {
            self.note_dead(base.record.owner, now);
        }
        match &job.task {
            Task::Read => self.tell_found(job, if dead { Owner::Dead } else { Owner::Alive }),
            Task::Take(..) | Task::Terminate(..) if dead || self.is(Mutant::TakeFromTheLiving) => {
                self.write(job, now)
            }
            Task::Take(..) => self.ask_owner(job, now),
            _ => self.refusal(job, Reason::OwnerAlive),
        }
    }

    /// The change, based on what was found.
    pub(super) fn write(&mut self, job: &mut Job, now: Time) -> Next {
        let Some(record) = self.becomes(job, now) else { return self.refusal(job, Reason::StateForbidden) };
        let op = self.next_op();
        let Ok(value) = record.encode(op, self.config.clock) else {
            return self.refusal(job, Reason::StateForbidden);
        };
        let value: Box<[u8]> = value.into();
        let transaction = self.transaction(job, &record, &value);
        job.written = Some((value, record));
        if job.deadline < now {
            job.deadline = now + OWNER_WAIT;
        }
        Next::Do(Step::Write, Operation::Commit(transaction))
    }

    /// What the record is after the change; `None` if the change breaks the rules.
    fn becomes(&self, job: &Job, now: Time) -> Option<SessionRecord> {
        let me = self.life.me;
        let base = job.base.as_ref().map(|base| &base.record);
        let record = match &job.task {
            Task::Create(record, _) => SessionRecord { owner: me, ..(**record).clone() },
            Task::Update(_, record) => {
                let base = base.filter(|base| may_follow(base, record))?;
                // A session that was born elsewhere stays one: births are judged by that.
                SessionRecord { owner: me, moved: base.moved || record.moved, ..(**record).clone() }
            }
            Task::Take(seen, record) => {
                let moved = record.moved || seen.1.owner != me;
                let kept = self.is(Mutant::EpochKept);
                let owner_epoch = if kept { seen.1.owner_epoch } else { record.owner_epoch };
                let moves = match base.unwrap_or(&seen.1) {
                    // Ours already: its client asks for another change.
                    before if seen.1.owner == me => before.moves.and_one(now),
                    // Whoever gave it away has counted that.
                    given if given.owner == me => given.moves,
                    // Its owner died.
                    _ => Moves::default(),
                };
                SessionRecord { owner: me, moved, moves, owner_epoch, ..(**record).clone() }
            }
            Task::Terminate(_, reason_number) => terminated(base?, *reason_number),
            Task::Release(_, to, moves) => {
                let owner_epoch = base?.owner_epoch.checked_add(1)?;
                let moves = moves.unwrap_or(base?.moves);
                SessionRecord { owner: *to, owner_epoch, moved: true, moves, ..base?.clone() }
            }
            Task::Read => return None,
        };
        Some(record)
    }

    fn transaction(&self, job: &Job, record: &SessionRecord, value: &[u8]) -> Transaction {
        let me = self.life.me;
        let key = keys::session(job.handle);
        let mut compares = vec![match &job.base {
            Some(base) => keys::unchanged(&key, base.rev, &base.value),
            None => keys::absent(key.clone()),
        }];
        if self.is(Mutant::OwnDeathIgnored) {
            // Two that are true, so that the places of the others stay.
            compares.extend([keys::present(keys::cell()), keys::present(keys::cell())]);
        } else {
            compares.extend([keys::absent(keys::tombstone(me)), keys::present(keys::heartbeat(me))]);
        }
        let mut changes = vec![Change::Put { key, value: value.into() }];
        match &job.task {
            Task::Create(..) => {
                compares.push(keys::absent(keys::revocation(&record.peer)));
                for address in record.addresses().map(keys::address) {
                    compares.push(keys::absent(address.clone()));
                    let value = keys::handle_bytes(job.handle)[..].into();
                    changes.push(Change::Put { key: address, value });
                }
            }
            Task::Take(seen, _) => {
                compares.push(keys::absent(keys::revocation(&record.peer)));
                // A copy of the wish may have come after it was granted.
                let former = Some(seen.1.owner).filter(|owner| *owner != me);
                changes.extend(former.map(|owner| Change::Delete { key: keys::request(owner, job.handle) }));
            }
            Task::Terminate(..) => {
                let addresses = record.addresses().map(keys::address);
                changes.extend(addresses.map(|key| Change::Delete { key }));
            }
            Task::Release(_, to, _) => {
                if !self.is(Mutant::GivenToTheDead) {
                    compares
                        .extend([keys::absent(keys::tombstone(*to)), keys::present(keys::heartbeat(*to))]);
                }
            }
            Task::Update(..) | Task::Read => {}
        }
        // What was wished here is done, or was about a record that is no more.
        if !matches!(job.task, Task::Update(..)) {
            changes.push(Change::Delete { key: keys::request(me, job.handle) });
        }
        if let (Task::Release(..) | Task::Terminate(..), Some(wished)) = (&job.task, &job.wished)
            && !self.is(Mutant::OwnDeathIgnored)
        {
            // Whoever has withdrawn it does not want it any more. It goes with the owner's death too, hence the exception.
            compares.push(keys::unchanged(&keys::request(me, job.handle), wished.rev, &wished.value));
        }
        let former = job.base.as_ref().map(|base| base.record.owner).filter(|owner| *owner != me);
        if let Some(former) = former.filter(|_| !self.is(Mutant::TakeFromTheLiving)) {
            compares.push(keys::present(keys::tombstone(former)));
        }
        Transaction { compares, changes }
    }

    /// The change is made.
    fn settle(&mut self, job: &mut Job, rev: Rev) -> Next {
        let Some((value, record)) = job.written.take() else { return Next::Done };
        let moves = record.moves;
        match job.task {
            Task::Terminate(..) | Task::Release(..) => {
                self.held.remove(&job.handle);
                job.wished = None;
            }
            _ => {
                self.held.insert(job.handle, Held { rev, value, record });
            }
        }
        self.mail.forget(job.handle);
        job.id.map_or(Next::Done, |id| Next::Answer(Answer::Committed { id, rev, moves }))
    }

    /// This copy of the change never applies. Did one before it?
    fn write_failed(&mut self, job: &mut Job, current: &[Option<Stored>], now: Time) -> Next {
        let at = |index: usize| current.get(index).and_then(Option::as_ref);
        let ours = job.written.as_ref().map(|(value, _)| value);
        if let Some(stored) = at(0).filter(|stored| Some(&stored.value) == ours) {
            return self.settle(job, stored.rev);
        }
        if at(OWN_TOMBSTONE).is_some() && !self.is(Mutant::OwnDeathIgnored) || at(OWN_HEARTBEAT).is_none() {
            // Declared dead.
            self.fence_off(now);
            return self.refusal(job, Reason::FenceExpired);
        }
        let base = job.base.as_ref().map(|base| base.rev);
        if at(0).map(|stored| stored.rev) != base {
            return self.changed_by_another(job, at(0).cloned(), now);
        }
        match &job.task {
            Task::Create(..) | Task::Take(..) if at(FURTHER).is_some() => {
                self.refusal(job, Reason::PeerRevoked)
            }
            Task::Create(_, known) => {
                let holder = current.iter().skip(FURTHER + 1).flatten().next();
                match holder.and_then(|stored| Some((stored.rev, keys::handle_from(&stored.value)?))) {
                    Some((born, holder)) => {
                        // An address is written by a birth and never again until it is free.
                        job.younger = born > *known;
                        Next::Do(Step::Holder, Operation::Read(keys::session(holder)))
                    }
                    None => self.try_again(job, now),
                }
            }
            // Whom it was for is gone, or does not want it any more.
            Task::Release(..) => self.keep(job),
            _ => self.refusal(job, Reason::StoreConflict),
        }
    }

    fn changed_by_another(&mut self, job: &mut Job, stored: Option<Stored>, now: Time) -> Next {
        let found = stored.and_then(|stored| self.decode(stored));
        if let (Task::Release(_, to, _), Some(found)) = (&job.task, &found)
            && found.record.owner == *to
        {
            // A copy was applied, and the new owner has gone on from there.
            return self.settle(job, found.rev);
        }
        let ours = found.as_ref().is_some_and(|found| {
            found.record.owner == self.life.me && found.record.state == RecordState::Live
        });
        if !ours && self.held.remove(&job.handle).is_some() {
            self.asks.push_back(crate::Ask::Lost { handle: job.handle });
        }
        match found {
            Some(found) => self.obstacle(job, found, now),
            None => self.nothing_there(job.id),
        }
    }

    pub(super) fn nothing_there(&self, id: Option<RequestId>) -> Next {
        id.map_or(Next::Done, |id| Next::Answer(Answer::Conflict { id, current: None, owner: None }))
    }

    pub(super) fn conflict_with(&self, id: RequestId, base: &Held, owner: Owner) -> Answer {
        let current = Some(Box::new((base.rev, base.record.clone())));
        Answer::Conflict { id, current, owner: Some(owner) }
    }

    /// Something is in the way: whose is it?
    pub(super) fn obstacle(&mut self, job: &mut Job, found: Held, now: Time) -> Next {
        let owner = found.record.owner;
        job.obstacle = Some(found);
        match self.known_owner(owner) {
            Some(owner) => self.tell_obstacle(job, owner, now),
            None if job.id.is_none() => Next::Done,
            None => read_tombstone(Step::Obstacle, owner),
        }
    }

    fn tell_obstacle(&mut self, job: &mut Job, owner: Owner, now: Time) -> Next {
        let Some(found) = job.obstacle.take() else { return Next::Done };
        if owner == Owner::Dead {
            self.note_dead(found.record.owner, now);
        }
        job.id.map_or(Next::Done, |id| Next::Answer(self.conflict_with(id, &found, owner)))
    }

    pub(super) fn try_again(&mut self, job: &mut Job, now: Time) -> Next {
        job.rounds += 1;
        match (job.rounds <= ROUNDS, job.obstacle.take()) {
            (true, _) => self.write(job, now),
            (false, Some(found)) => self.obstacle(job, found, now),
            (false, None) => self.refusal(job, Reason::StoreConflict),
        }
    }

    /// The session that has one of the inner addresses.
    fn holder_read(&mut self, job: &mut Job, stored: Option<Stored>, now: Time) -> Next {
        let Task::Create(record, _) = &job.task else { return Next::Done };
        let peer = record.peer;
        let holder = stored.and_then(|stored| self.decode(stored));
        let Some(holder) = holder.filter(|holder| holder.record.state == RecordState::Live) else {
            // It has ended in between.
            return self.try_again(job, now);
        };
        let owner = holder.record.owner;
        let same_peer = holder.record.peer == peer;
        let born_here = owner == self.life.me && !holder.record.moved;
        if same_peer && !born_here && job.younger {
            // The engine knows the order of its own births only.
            return self.refusal(job, Reason::StoreConflict);
        }
        if !same_peer || owner == self.life.me {
            return self.obstacle(job, holder, now);
        }
        job.obstacle = Some(holder);
        match self.known_owner(owner) {
            Some(_) => self.holder_judged(job, true, now),
            None => read_tombstone(Step::HolderTombstone, owner),
        }
    }

    /// The client was born again here. Its old session ends: by this node if the owner is dead, else by the owner.
    fn holder_judged(&mut self, job: &mut Job, dead: bool, now: Time) -> Next {
        let Some(holder) = &job.obstacle else { return Next::Done };
        let (owner, handle) = (holder.record.owner, holder.record.handle);
        if !dead {
            return Next::Do(Step::AskHolder, self.wish(owner, handle, holder.rev, WishKind::Supersede, now));
        }
        let ending = self.ending(holder, Reason::Superseded.number());
        self.note_dead(owner, now);
        match ending {
            Some(ending) => Next::Do(Step::EndHolder, Operation::Commit(ending)),
            None => self.refusal(job, Reason::Internal),
        }
    }

    fn asked_holder(&mut self, job: &mut Job, outcome: &Outcome, now: Time) -> Next {
        let Some(holder) = &job.obstacle else { return Next::Done };
        let (owner, handle) = (holder.record.owner, holder.record.handle);
        match outcome {
            Outcome::Committed(rev) => {
                job.note_wish(*rev);
                await_holder(job, handle, now)
            }
            // Its heartbeat was not there: its tombstone should be.
            _ => self.again_after(job, Step::HolderTombstone, keys::tombstone(owner), now),
        }
    }

    /// The wish was not made: another look, the first one at once.
    pub(super) fn again_after(&mut self, job: &mut Job, step: Step, look_at: Key, now: Time) -> Next {
        job.rounds += 1;
        if job.rounds > ROUNDS {
            return self.give_up(job, now);
        }
        let pause = if job.rounds == 1 { Duration::ZERO } else { RETRY };
        Next::At(now + pause, step, Operation::Read(look_at))
    }

    /// Nothing has come of asking the owner.
    pub(super) fn give_up(&mut self, job: &mut Job, now: Time) -> Next {
        match job.obstacle {
            Some(_) => self.tell_obstacle(job, Owner::Alive, now),
            None => self.refusal(job, Reason::OwnerAlive),
        }
    }

    fn holder_awaited(&mut self, job: &mut Job, stored: Option<Stored>, now: Time) -> Next {
        let Some(holder) = &job.obstacle else { return Next::Done };
        if stored.is_none_or(|stored| stored.rev != holder.rev) {
            if let (Some((owner, handle)), Some(wished)) = (job.wish_place(), job.wished.take()) {
                self.delete(keys::request(owner, handle), &wished);
            }
            return self.try_again(job, now);
        }
        if now >= job.deadline {
            return self.withdraw(job, now);
        }
        await_holder(job, holder.record.handle, now)
    }

    /// A wish in somebody's mailbox.
    pub(super) fn wish(
        &self,
        owner: Incarnation,
        handle: Handle,
        of: Rev,
        kind: WishKind,
        now: Time,
    ) -> Operation {
        let me = self.life.me;
        let wish = Wish { by: me, of, kind, unix_ms: self.config.clock.wall_ms(now) };
        let compares = vec![keys::present(keys::heartbeat(me)), keys::present(keys::heartbeat(owner))];
        let changes = vec![Change::Put { key: keys::request(owner, handle), value: wish.encode() }];
        Operation::Commit(Transaction { compares, changes })
    }

    /// The end of a session that nobody may act for but its owner, whose tombstone is compared, or this node.
    pub(super) fn ending(&self, of: &Held, reason_number: u16) -> Option<Transaction> {
        let me = self.life.me;
        let key = keys::session(of.record.handle);
        let record = terminated(&of.record, reason_number);
        let mut op = [0xff; 16];
        op[..8].copy_from_slice(&me.0[8..]);
        op[8..].copy_from_slice(&of.rev.0.to_be_bytes());
        let value = record.encode(crate::OpId(op), self.config.clock).ok()?;
        let mut compares = vec![
            keys::unchanged(&key, of.rev, &of.value),
            keys::absent(keys::tombstone(me)),
            keys::present(keys::heartbeat(me)),
        ];
        if of.record.owner != me && !self.is(Mutant::SweepTheLiving) {
            compares.push(keys::present(keys::tombstone(of.record.owner)));
        }
        let mut changes = vec![Change::Put { key, value: value.into() }];
        let addresses = record.addresses().map(keys::address);
        changes.extend(addresses.map(|key: Key| Change::Delete { key }));
        Some(Transaction { compares, changes })
    }
}

/// The next look at the session that is in the way: at once if the wish has changed meanwhile, else after a while.
fn await_holder(job: &Job, handle: Handle, now: Time) -> Next {
    let look = Operation::Read(keys::session(handle));
    if job.has_news() {
        Next::Do(Step::AwaitHolder, look)
    } else {
        Next::At(now + RETRY, Step::AwaitHolder, look)
    }
}

fn read_record(handle: Handle) -> Next {
    Next::Do(Step::Record, Operation::Read(keys::session(handle)))
}

fn read_tombstone(step: Step, owner: Incarnation) -> Next {
    Next::Do(step, Operation::Read(keys::tombstone(owner)))
}

/// What is left of a session: no secrets.
fn terminated(record: &SessionRecord, reason_number: u16) -> SessionRecord {
    SessionRecord {
        state: RecordState::Terminated { reason_number },
        version: record.version.saturating_add(1),
        sealed: Vec::new(),
        ..record.clone()
    }
}

/// Whether `new` may take the place of the live record `old`: the same session, and nothing goes back.
fn may_follow(old: &SessionRecord, new: &SessionRecord) -> bool {
    let identity =
        |record: &SessionRecord| (record.handle, record.sid, record.peer, record.inner_v4, record.inner_v6);
    let not_backwards = new.owner_epoch >= old.owner_epoch && new.version >= old.version;
    identity(old) == identity(new) && not_backwards && new.state == RecordState::Live
}
