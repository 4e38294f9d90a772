//! What other nodes wish of this one, told through the store, because it is the one thing that all of them reach.

use std::collections::BTreeMap;
use std::time::Duration;

use jumpvpn_events::{Reason, Time};
use rand_core::CryptoRng;

use super::jobs::Task;
use super::keys::{self, Wish, WishKind};
use super::mutant::Mutant;
use super::{Node, Purpose, RETRY};
use crate::{Ask, Change, Handle, Key, Operation, Outcome, Stored, Transaction};

/// From one look to the next: half of a second or less is added to a handoff, for four reads of an empty list per second.
const EVERY: Duration = Duration::from_millis(250);

/// Wishes of one page. A look takes as many pages as there are.
const PAGE: usize = 128;

/// Whatever stands in a mailbox is deleted after this long: those who wish wait for 2 s, and take their wishes back then.
const KEPT: Duration = Duration::from_secs(10);

/// A deletion is sent again if what it was for is still there after this long: a store that has not answered by then (1 s) has
/// given it up.
const DELETED_AGAIN: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Mail {
    under_way: bool,
    /// Somebody said that there is something while a look was under way, which may have come too early.
    again: bool,
    asked: Time,
    due: Time,
    /// The last key of the page before, in the midst of a look.
    after: Option<Key>,
    /// What the look has found so far.
    found: BTreeMap<Handle, Known>,
    /// What the look before has found, and this one has not come to yet.
    known: BTreeMap<Handle, Known>,
}

/// A wish that was passed on or answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Known {
    stored: Stored,
    /// When it was seen first.
    since: Time,
    /// When its deletion was sent.
    deleted: Option<Time>,
}

impl Mail {
    pub fn due(&self) -> Option<Time> {
        (!self.under_way).then_some(self.due)
    }

    pub fn look_at_once(&mut self, now: Time) {
        self.due = now;
        self.again |= self.under_way || self.after.is_some();
    }

    /// The session is not this node's any more, or is new: what was wished before is over.
    pub fn forget(&mut self, handle: Handle) {
        self.found.remove(&handle);
        self.known.remove(&handle);
    }

    fn get(&self, handle: Handle) -> Option<&Known> {
        self.found.get(&handle).or_else(|| self.known.get(&handle))
    }
}

impl<R: CryptoRng> Node<R> {
    pub(super) fn mail_timeout(&mut self, now: Time) {
        if !self.mail.under_way && now >= self.mail.due {
            self.list_mail(now);
        }
    }

    fn list_mail(&mut self, now: Time) {
        (self.mail.under_way, self.mail.asked) = (true, now);
        let (prefix, after) = (keys::mailbox(self.life.me), self.mail.after.clone());
        self.outbox.submit(Purpose::Mail, Operation::List { prefix, after, limit: PAGE });
    }

    pub(super) fn mail_outcome(&mut self, outcome: Outcome, now: Time) {
        self.mail.under_way = false;
        let Outcome::Listed { entries, more } = outcome else {
            self.mail.due = now.max(self.mail.asked + RETRY);
            return;
        };
        self.mail.after = entries.last().map(|(key, _)| key.clone()).filter(|_| more);
        for (key, stored) in entries {
            if let Some((_, handle)) = keys::request_parts(&key) {
                self.wish_found(handle, key, stored, now);
            }
        }
        if self.mail.after.is_some() {
            return self.list_mail(now);
        }
        self.mail.known = std::mem::take(&mut self.mail.found);
        let pause = if std::mem::take(&mut self.mail.again) { Duration::ZERO } else { EVERY };
        self.mail.due = now.max(self.mail.asked + pause);
    }

    fn wish_found(&mut self, handle: Handle, key: Key, stored: Stored, now: Time) {
        let known = self.mail.known.remove(&handle).filter(|known| known.stored.rev == stored.rev);
        let is_new = known.is_none();
        if is_new && self.jobs.is_busy(handle) {
            // A change of this session is under way: the next look sees what is left of the wish.
            return;
        }
        let mut known = known.unwrap_or(Known { stored, since: now, deleted: None });
        let wish = Wish::decode(&known.stored.value);
        self.counts.unreadable += u64::from(is_new && wish.is_none());
        let is_young = now < known.since + KEPT;
        let valid = wish.filter(|wish| is_young && !self.is_void(handle, wish));
        if valid.is_none() && known.deleted.is_none_or(|deleted| now >= deleted + DELETED_AGAIN) {
            known.deleted = Some(now);
            self.delete(key, &known.stored);
        }
        self.mail.found.insert(handle, known);
        if let Some(wish) = valid.filter(|_| is_new) {
            self.grant(handle, wish, now);
        }
    }

    /// Whether nobody waits for it, or what it is about is no more.
    fn is_void(&self, handle: Handle, wish: &Wish) -> bool {
        let held = self.held.get(&handle).filter(|_| !self.jobs.is_busy(handle));
        let declined = matches!(wish.kind, WishKind::Declined(_));
        let is_stale = held.is_some_and(|held| held.rev != wish.of && !declined);
        is_stale || self.dead.contains_key(&wish.by) && !self.is(Mutant::GivenToTheDead)
    }

    /// The wish that a task is about to grant.
    pub(super) fn wish_to_grant(&self, handle: Handle, task: &Task) -> Option<Stored> {
        let known = self.mail.get(handle)?;
        let wish = Wish::decode(&known.stored.value)?;
        let granted = match task {
            Task::Release(_, to, _) => wish.kind == WishKind::Handoff && wish.by == *to,
            Task::Terminate(None, _) => wish.kind == WishKind::Supersede,
            _ => false,
        };
        granted.then(|| known.stored.clone())
    }

    /// A session that nobody serves here is given or ended without asking.
    fn grant(&mut self, handle: Handle, wish: Wish, now: Time) {
        let held = self.held.contains_key(&handle);
        match wish.kind {
            WishKind::Handoff if held => self.asks.push_back(Ask::Release { handle, to: wish.by }),
            WishKind::Supersede if held => self.asks.push_back(Ask::Supersede { handle }),
            WishKind::Handoff => self.start_task(None, handle, Task::Release(None, wish.by, None), now),
            WishKind::Supersede => {
                self.start_task(None, handle, Task::Terminate(None, Reason::Superseded.number()), now);
            }
            WishKind::Declined(_) => {}
        }
    }

    /// The engine keeps the session. Whether the answer arrives makes no difference: who wishes waits for two seconds only.
    pub(super) fn decline(&mut self, handle: Handle, reason_number: u16, now: Time) {
        let Some(Known { stored, .. }) = self.mail.get(handle) else { return };
        let Some(Wish { by, of, .. }) = Wish::decode(&stored.value) else { return };
        let key = keys::request(self.life.me, handle);
        let kind = WishKind::Declined(reason_number);
        let value = Wish { by, of, kind, unix_ms: self.config.clock.wall_ms(now) }.encode();
        let compares = vec![keys::unchanged(&key, stored.rev, &stored.value)];
        let changes = vec![Change::Put { key, value }];
        self.outbox.submit(Purpose::Nothing, Operation::Commit(Transaction { compares, changes }));
    }

    /// Deletes what stands there, if it still does; who comes by later tries again.
    pub(super) fn delete(&mut self, key: Key, stored: &Stored) {
        self.outbox.submit(Purpose::Nothing, Operation::Commit(keys::deletion(key, stored)));
    }
}
