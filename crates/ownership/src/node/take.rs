//! Becoming the owner of a session whose owner lives: by its own consent alone.

use jumpvpn_events::{Reason, Time};
use rand_core::CryptoRng;

use super::jobs::{Job, Next, Step, Task};
use super::keys::{self, Wish, WishKind};
use super::{Node, RETRY};
use crate::{Key, Operation, Outcome, RecordState, SessionRecord, Stored};

impl<R: CryptoRng> Node<R> {
    pub(super) fn ask_owner(&mut self, job: &mut Job, now: Time) -> Next {
        let Task::Take(seen, _) = &job.task else { return Next::Done };
        Next::Do(Step::Ask, self.wish(seen.1.owner, job.handle, seen.0, WishKind::Handoff, now))
    }

    pub(super) fn asked_owner(&mut self, job: &mut Job, outcome: &Outcome, now: Time) -> Next {
        match outcome {
            Outcome::Committed(rev) => {
                job.note_wish(*rev);
                await_record(job, now)
            }
            // Its heartbeat was not there: dead, or about to be declared so.
            _ => self.again_after(job, Step::Record, keys::session(job.handle), now),
        }
    }

    pub(super) fn awaited(&mut self, job: &mut Job, stored: Option<Stored>, now: Time) -> Next {
        let Task::Take(seen, _) = &job.task else { return Next::Done };
        let reply = keys::request(seen.1.owner, job.handle);
        let Some(found) = stored.and_then(|stored| self.decode(stored)) else {
            self.drop_wish(job, reply);
            return self.nothing_there(job.id);
        };
        if found.rev == seen.0 {
            if job.has_news() {
                return await_record(job, now);
            }
            return Next::Do(Step::AwaitReply, Operation::Read(reply));
        }
        if is_given(&seen.1, &found.record, self.life.me) {
            job.base = Some(found);
            return self.write(job, now);
        }
        // What was wished is about a record that is no more: nobody grants it, and it is in the way.
        self.drop_wish(job, reply);
        self.obstacle(job, found, now)
    }

    /// Takes a wish away that nothing can come of.
    fn drop_wish(&mut self, job: &Job, place: Key) {
        if let Some(wished) = &job.wished {
            self.delete(place, wished);
        }
    }

    /// The owner has not given it yet. Has it declined?
    pub(super) fn reply_read(&mut self, job: &mut Job, stored: Option<Stored>, now: Time) -> Next {
        let Task::Take(seen, _) = &job.task else { return Next::Done };
        let owner = seen.1.owner;
        let wish = stored.as_ref().and_then(|stored| Wish::decode(&stored.value));
        if let (Some(Wish { by, kind: WishKind::Declined(number), .. }), Some(stored)) = (wish, &stored)
            && by == self.life.me
        {
            self.delete(keys::request(owner, job.handle), stored);
            return self.refusal(job, Reason::from_number(number).unwrap_or(Reason::OwnerAlive));
        }
        if now >= job.deadline {
            return self.withdraw(job, now);
        }
        // Its death may have been declared by whoever saw its process end, long before it would be missed.
        Next::Do(Step::AwaitDeath, Operation::Read(keys::tombstone(owner)))
    }

    /// Nobody waits any longer. Until the wish is gone it may still be granted, so the answer waits for that.
    pub(super) fn withdraw(&mut self, job: &mut Job, now: Time) -> Next {
        match (job.wish_place(), job.wished.take()) {
            (Some((owner, handle)), Some(wished)) => {
                let deletion = keys::deletion(keys::request(owner, handle), &wished);
                Next::Do(Step::Withdraw, Operation::Commit(deletion))
            }
            _ => self.give_up(job, now),
        }
    }

    pub(super) fn withdrawn(&mut self, job: &mut Job, outcome: Outcome, now: Time) -> Next {
        let Outcome::Conflict(mut current) = outcome else { return self.give_up(job, now) };
        let stands = current.pop().flatten();
        let wish = stands.as_ref().and_then(|stored| Wish::decode(&stored.value));
        if let Some(Wish { by, kind: WishKind::Handoff | WishKind::Supersede, .. }) = wish
            && by == self.life.me
        {
            // A copy of it has come later.
            job.wished = stands;
            return self.withdraw(job, now);
        }
        // It was granted or declined at the last moment, or a copy of this deletion was carried out: one more look says which.
        match job.wish_place() {
            Some((_, handle)) => {
                let step =
                    if matches!(job.task, Task::Take(..)) { Step::AwaitRecord } else { Step::AwaitHolder };
                Next::Do(step, Operation::Read(keys::session(handle)))
            }
            None => self.give_up(job, now),
        }
    }

    pub(super) fn death_read(&mut self, job: &mut Job, dead: bool, now: Time) -> Next {
        let Task::Take(seen, _) = &job.task else { return Next::Done };
        if !dead {
            return await_record(job, now);
        }
        self.note_dead(seen.1.owner, now);
        Next::Do(Step::Record, Operation::Read(keys::session(job.handle)))
    }
}

/// The next look at the record: at once if the wish has changed meanwhile, else after a while.
fn await_record(job: &Job, now: Time) -> Next {
    let look = Operation::Read(keys::session(job.handle));
    if job.has_news() {
        Next::Do(Step::AwaitRecord, look)
    } else {
        Next::At(now + RETRY, Step::AwaitRecord, look)
    }
}

/// Whether `found` is `seen` as its owner gives it to `me`. Anything else that has changed is news for whoever asked.
fn is_given(seen: &SessionRecord, found: &SessionRecord, me: crate::Incarnation) -> bool {
    let given = SessionRecord {
        owner: me,
        owner_epoch: seen.owner_epoch.saturating_add(1),
        moved: true,
        moves: found.moves,
        ..seen.clone()
    };
    *found == given && found.state == RecordState::Live
}
