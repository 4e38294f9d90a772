//! Becoming the owner of a session whose owner lives: by its own consent alone.

use jumpvpn_events::{Reason, Time};
use rand_core::CryptoRng;

use super::jobs::{Job, Next, Step};
use super::keys::{self, Wish, WishKind};
use super::{Held, Node, RETRY};
use crate::{Operation, Outcome, RecordState, SessionRecord, Stored};

impl<R: CryptoRng> Node<R> {
    pub(super) fn ask_owner(&mut self, job: &mut Job, now: Time) -> Next {
        let Some(base) = &job.base else { return Next::Done };
        let wish = self.wish(base.record.owner, job.handle, WishKind::Handoff, now);
        Next::Do(Step::Ask, wish)
    }

    pub(super) fn asked_owner(&mut self, job: &mut Job, outcome: &Outcome, now: Time) -> Next {
        let Some(base) = &job.base else { return Next::Done };
        let owner = base.record.owner;
        match outcome {
            Outcome::Committed(_) => self.await_record(job, now),
            _ => self.again_after(job, Step::Tombstone, owner, now),
        }
    }

    fn await_record(&self, job: &Job, now: Time) -> Next {
        Next::At(now + RETRY, Step::AwaitRecord, Operation::Read(keys::session(job.handle)))
    }

    pub(super) fn awaited(&mut self, job: &mut Job, stored: Option<Stored>, now: Time) -> Next {
        let Some(base) = &job.base else { return Next::Done };
        let Some(found) = stored.and_then(|stored| self.decode(stored)) else {
            return self.nothing_there(job.id);
        };
        if found.rev == base.rev {
            let reply = keys::request(base.record.owner, job.handle);
            return Next::Do(Step::AwaitReply, Operation::Read(reply));
        }
        if is_given(base, &found, self.life.me) {
            job.base = Some(found);
            return self.write(job, now);
        }
        self.obstacle(job, found, now)
    }

    /// The owner has not given it yet. Has it declined, or died?
    pub(super) fn reply_read(&mut self, job: &mut Job, stored: Option<Stored>, now: Time) -> Next {
        let Some(base) = &job.base else { return Next::Done };
        let owner = base.record.owner;
        let wish = stored.as_ref().and_then(|stored| Wish::decode(&stored.value));
        if let (Some(Wish { by, kind: WishKind::Declined(number), .. }), Some(stored)) = (wish, &stored)
            && by == self.life.me
        {
            self.delete(keys::request(owner, job.handle), stored);
            return self.refusal(job, Reason::from_number(number).unwrap_or(Reason::OwnerAlive));
        }
        if now >= job.deadline {
            if let (Some(Wish { by, .. }), Some(stored)) = (wish, &stored)
                && by == self.life.me
            {
                self.delete(keys::request(owner, job.handle), stored);
            }
            return self.refusal(job, Reason::OwnerAlive);
        }
        if self.watch.is_alive(owner) {
            return self.await_record(job, now);
        }
        // Not heard of in the last look: dead, or new.
        Next::At(now + RETRY, Step::Tombstone, Operation::Read(keys::tombstone(owner)))
    }
}

/// Whether `found` is `base` as its owner gives it to `me`. Anything else that has changed is news for whoever asked.
fn is_given(base: &Held, found: &Held, me: crate::Incarnation) -> bool {
    let given = SessionRecord {
        owner: me,
        owner_epoch: base.record.owner_epoch.saturating_add(1),
        moved: true,
        ..base.record.clone()
    };
    found.record == given && found.record.state == RecordState::Live
}
