//! The side of a store that its user sees, the same for every store with a thread: tickets that are out, outcomes that came back.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use jumpvpn_ownership::{Outcome, StoreError, Ticket};

#[cfg(test)]
mod tests;

/// Called, from any thread, when an outcome can be polled. It should do no more than wake whoever polls.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// What a store's user holds.
pub(crate) struct Desk {
    out: BTreeSet<Ticket>,
    /// Outcomes that needed no thread.
    ready: VecDeque<(Ticket, Outcome)>,
    arrived: Receiver<(Ticket, Outcome)>,
    waker: Waker,
}

/// What the store's thread holds.
pub(crate) struct Outbox {
    /// Empty only while it is dropped.
    sender: Option<Sender<(Ticket, Outcome)>>,
    waker: Waker,
}

/// Both ends.
pub(crate) fn desk(waker: Waker) -> (Desk, Outbox) {
    let (sender, arrived) = channel();
    let outbox = Outbox { sender: Some(sender), waker: Arc::clone(&waker) };
    (Desk { out: BTreeSet::new(), ready: VecDeque::new(), arrived, waker }, outbox)
}

impl Desk {
    /// An operation goes to the thread.
    pub(crate) fn hand_out(&mut self, ticket: Ticket) {
        self.out.insert(ticket);
    }

    /// An operation does not go to the thread, and this is its outcome.
    pub(crate) fn answer(&mut self, ticket: Ticket, outcome: Outcome) {
        self.ready.push_back((ticket, outcome));
        (self.waker)();
    }

    /// The next outcome. A thread that has ended has lost what it was given.
    pub(crate) fn poll(&mut self) -> Option<(Ticket, Outcome)> {
        if let Some(ready) = self.ready.pop_front() {
            return Some(ready);
        }
        match self.arrived.try_recv() {
            Ok((ticket, outcome)) => {
                self.out.remove(&ticket);
                Some((ticket, outcome))
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                self.out.pop_first().map(|ticket| (ticket, Outcome::Lost(StoreError::NotDurable)))
            }
        }
    }
}

impl Outbox {
    /// Hands outcomes over, and wakes their reader once.
    pub(crate) fn send(&self, outcomes: impl IntoIterator<Item = (Ticket, Outcome)>) {
        for outcome in outcomes {
            // Without a reader nobody wants to know.
            if self.sender.as_ref().is_some_and(|sender| sender.send(outcome).is_err()) {
                return;
            }
        }
        (self.waker)();
    }
}

impl Drop for Outbox {
    /// Also when the thread panics: what it still had is lost, and somebody has to hear of it.
    fn drop(&mut self) {
        self.sender = None;
        (self.waker)();
    }
}
