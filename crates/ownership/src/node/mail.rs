//! What other nodes wish of this one, told through the store, because it is the one thing that all of them reach.

use std::collections::BTreeMap;
use std::time::Duration;

use jumpvpn_events::{Reason, Time};
use rand_core::CryptoRng;

use super::jobs::Task;
use super::keys::{self, Wish, WishKind};
use super::{Node, Purpose, RETRY};
use crate::{Ask, Change, Handle, Key, Operation, Outcome, Stored, Transaction};

/// From one look to the next: half of a second or less is added to a handoff, for four reads of an empty list per second.
const EVERY: Duration = Duration::from_millis(250);

/// Wishes of one look. Others wait for the next one.
const PAGE: usize = 128;

/// A declined wish is deleted by who made it, or after this long: those who wish have stopped waiting after 2 s.
const DECLINED_FOR: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Mail {
    under_way: bool,
    /// Somebody said that there is something while a look was under way, which may have come too early.
    again: bool,
    asked: Time,
    due: Time,
    /// Wishes that were passed on or answered, and when they were seen first.
    known: BTreeMap<Handle, (Stored, Time)>,
}

impl Mail {
    pub fn due(&self) -> Option<Time> {
        (!self.under_way).then_some(self.due)
    }

    pub const fn look_at_once(&mut self, now: Time) {
        self.due = now;
        self.again = self.under_way;
    }

    /// The session is not this node's any more, or is new: what was wished before is over.
    pub fn forget(&mut self, handle: Handle) {
        self.known.remove(&handle);
    }
}

impl<R: CryptoRng> Node<R> {
    pub(super) fn mail_timeout(&mut self, now: Time) {
        if self.mail.under_way || now < self.mail.due {
            return;
        }
        (self.mail.under_way, self.mail.asked) = (true, now);
        let prefix = keys::mailbox(self.life.me);
        self.outbox.submit(Purpose::Mail, Operation::List { prefix, after: None, limit: PAGE });
    }

    pub(super) fn mail_outcome(&mut self, outcome: Outcome, now: Time) {
        self.mail.under_way = false;
        let Outcome::Listed { entries, .. } = outcome else {
            self.mail.due = now.max(self.mail.asked + RETRY);
            return;
        };
        let pause = if std::mem::take(&mut self.mail.again) { Duration::ZERO } else { EVERY };
        self.mail.due = now.max(self.mail.asked + pause);
        let mut before = std::mem::take(&mut self.mail.known);
        for (key, stored) in entries {
            let Some((_, handle)) = keys::request_parts(&key) else { continue };
            let known = before.remove(&handle).filter(|(known, _)| known.rev == stored.rev);
            let since = known.as_ref().map_or(now, |(_, since)| *since);
            if known.is_none() && self.jobs.is_busy(handle) {
                // A change of this session is under way: the next look sees what is left of the wish.
                continue;
            }
            self.mail.known.insert(handle, (stored.clone(), since));
            match Wish::decode(&stored.value) {
                Some(Wish { kind: WishKind::Declined(_), .. }) => {
                    if now >= since + DECLINED_FOR {
                        self.delete(key, &stored);
                    }
                }
                Some(wish) if known.is_none() => self.grant(handle, wish, now),
                Some(_) => {}
                None => {
                    self.counts.unreadable += 1;
                    self.delete(key, &stored);
                }
            }
        }
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
        let Some((stored, _)) = self.mail.known.get(&handle) else { return };
        let Some(Wish { by, .. }) = Wish::decode(&stored.value) else { return };
        let key = keys::request(self.life.me, handle);
        let kind = WishKind::Declined(reason_number);
        let value = Wish { by, kind, unix_ms: self.config.clock.wall_ms(now) }.encode();
        let compares = vec![keys::unchanged(&key, stored.rev, &stored.value)];
        let changes = vec![Change::Put { key, value }];
        self.outbox.submit(Purpose::Nothing, Operation::Commit(Transaction { compares, changes }));
    }

    /// Deletes what stands there, if it still does; who comes by later tries again.
    pub(super) fn delete(&mut self, key: Key, stored: &Stored) {
        let compares = vec![keys::unchanged(&key, stored.rev, &stored.value)];
        let changes = vec![Change::Delete { key }];
        self.outbox.submit(Purpose::Nothing, Operation::Commit(Transaction { compares, changes }));
    }
}
