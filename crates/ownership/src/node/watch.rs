//! The others: whose heart beats, and who is dead.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jumpvpn_events::Time;
use rand_core::CryptoRng;

use super::keys::{self, Heartbeat};
use super::mutant::Mutant;
use super::{Node, Peer, Purpose, RETRY};
use crate::{Incarnation, Key, Operation, Outcome, Stored};

/// Heartbeats of one page: more than a cell has gateways (64).
const PAGE: usize = 128;

/// Looks from one heartbeat to the next. The time until a death is declared begins with the first sight of the last one, so a
/// quarter of a heartbeat is lost at most; four reads of a short list per second and gateway are the price.
const LOOKS_PER_BEAT: u32 = 4;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Watch {
    under_way: bool,
    asked: Time,
    due: Time,
    pages: Vec<(Key, Stored)>,
    /// Sessions of those that were seen in the last look.
    load: u64,
    observed: BTreeMap<Incarnation, Observed>,
    burials: BTreeSet<Incarnation>,
}

/// A heartbeat, and when it was seen for the first time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Observed {
    stored: Stored,
    since: Time,
}

impl Watch {
    /// Whether a heartbeat of it was seen in the last look.
    pub fn is_alive(&self, incarnation: Incarnation) -> bool {
        self.observed.contains_key(&incarnation)
    }

    /// Sessions of the others.
    pub const fn load(&self) -> u64 {
        self.load
    }

    pub fn alive(&self) -> impl Iterator<Item = Incarnation> {
        self.observed.keys().copied()
    }

    pub fn peers(&self, me: Incarnation) -> Vec<Peer> {
        let peer = |(incarnation, observed): (&Incarnation, &Observed)| {
            let beat = Heartbeat::decode(&observed.stored.value)?;
            let Heartbeat { name, public, load, draining, .. } = beat;
            (*incarnation != me).then_some(Peer { name, public, incarnation: *incarnation, load, draining })
        };
        self.observed.iter().filter_map(peer).collect()
    }
}

impl<R: CryptoRng> Node<R> {
    /// How long another one's heartbeat may stand still.
    fn patience(&self) -> Duration {
        let profile = &self.config.profile;
        if self.is(Mutant::DeathBeforeTheFence) { profile.lease / 2 } else { profile.death }
    }

    pub(super) fn watch_due(&self) -> Option<Time> {
        let death = self.patience();
        let waiting = self.watch.observed.iter().filter(|(of, _)| !self.watch.burials.contains(of));
        let deaths = waiting.map(|(_, observed)| observed.since + death);
        deaths.chain((!self.watch.under_way).then_some(self.watch.due)).min()
    }

    pub(super) fn watch_timeout(&mut self, now: Time) {
        if !self.watch.under_way && now >= self.watch.due {
            self.watch.pages.clear();
            self.look(None, now);
        }
        self.bury_silent(now);
    }

    fn look(&mut self, after: Option<Key>, now: Time) {
        (self.watch.under_way, self.watch.asked) = (true, now);
        let list = Operation::List { prefix: keys::heartbeats(), after, limit: PAGE };
        self.outbox.submit(Purpose::Watch, list);
    }

    pub(super) fn watch_outcome(&mut self, outcome: Outcome, now: Time) {
        self.watch.under_way = false;
        let Outcome::Listed { entries, more } = outcome else {
            self.watch.due = now.max(self.watch.asked + RETRY);
            return;
        };
        self.watch.pages.extend(entries);
        if more {
            let after = self.watch.pages.last().map(|(key, _)| key.clone());
            self.look(after, now);
            return;
        }
        self.watch.due = now.max(self.watch.asked + self.config.profile.heartbeat / LOOKS_PER_BEAT);
        let since = if self.is(Mutant::TimerFromQuestion) { self.watch.asked } else { now };
        let mut before = std::mem::take(&mut self.watch.observed);
        for (key, stored) in std::mem::take(&mut self.watch.pages) {
            let Some(of) = keys::incarnation_after(&keys::heartbeats(), &key) else { continue };
            if of == self.life.me || self.dead.contains_key(&of) {
                continue;
            }
            let known = before.remove(&of).filter(|known| known.stored.rev == stored.rev);
            self.watch.observed.insert(of, known.unwrap_or(Observed { stored, since }));
        }
        let beats = self.watch.observed.values().filter_map(|seen| Heartbeat::decode(&seen.stored.value));
        self.watch.load = beats.map(|beat| u64::from(beat.load)).sum();
        self.bury_silent(now);
    }

    /// Who has not been heard of for long enough has stopped by its own clock.
    fn bury_silent(&mut self, now: Time) {
        let death = self.patience();
        let silent = |(of, observed): (&Incarnation, &Observed)| {
            let due = now >= observed.since + death && !self.watch.burials.contains(of);
            due.then(|| (*of, self.burial(*of, &observed.stored, now)))
        };
        let burials: Vec<_> = self.watch.observed.iter().filter_map(silent).collect();
        for (of, transaction) in burials {
            self.watch.burials.insert(of);
            self.outbox.submit(Purpose::Burial(of), Operation::Commit(transaction));
        }
    }

    pub(super) fn burial_outcome(&mut self, of: Incarnation, outcome: Outcome, now: Time) {
        self.watch.burials.remove(&of);
        match outcome {
            Outcome::Committed(_) => {
                self.counts.burials += 1;
                self.note_dead(of, now);
            }
            Outcome::Conflict(mut current) => {
                if current.get(1).is_some_and(Option::is_some) {
                    self.note_dead(of, now);
                } else if let Some(stored) = current.get_mut(0).and_then(Option::take) {
                    // It lives.
                    self.watch.observed.insert(of, Observed { stored, since: now });
                }
            }
            // Tried again at the next look; whether it was this attempt or that one makes no difference.
            _ => {
                let again = now + RETRY - self.patience();
                if let Some(observed) = self.watch.observed.get_mut(&of) {
                    observed.since = observed.since.max(again);
                }
            }
        }
    }

    pub(super) fn note_dead(&mut self, of: Incarnation, now: Time) {
        self.watch.observed.remove(&of);
        self.dead.entry(of).or_insert(now);
    }
}
