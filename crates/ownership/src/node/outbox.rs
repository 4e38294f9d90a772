//! Operations on their way to the store and back.

use std::collections::{BTreeMap, VecDeque};

use crate::{Incarnation, Operation, Ticket};

/// Operations of requests and scans that are with the store at once. More of them only wait there instead of here, and those that time
/// out there become unknown.
const WINDOW: usize = 64;

/// What an operation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// Joining, heartbeats, the own tombstone.
    Life,
    /// Other nodes' heartbeats.
    Watch,
    /// Another node's tombstone.
    Burial(Incarnation),
    /// The mailbox.
    Mail,
    /// The slow scan.
    Scan,
    /// A request, or something of that kind that the node does by itself.
    Job(u64),
    /// The end of an orphan.
    Sweep,
    /// The end of a record that names this node and is held by nobody.
    Reconcile,
    /// Whatever comes of it.
    Nothing,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Outbox {
    last_ticket: u64,
    /// What the right to act hangs on goes first and never waits for room.
    urgent: VecDeque<(Ticket, Operation)>,
    waiting: VecDeque<(Ticket, Operation)>,
    open: BTreeMap<Ticket, Purpose>,
    /// With the store, of those that needed room.
    in_window: usize,
}

impl Purpose {
    const fn is_urgent(self) -> bool {
        matches!(self, Purpose::Life | Purpose::Watch | Purpose::Burial(_) | Purpose::Mail)
    }
}

impl Outbox {
    pub fn submit(&mut self, purpose: Purpose, operation: Operation) {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.open.insert(ticket, purpose);
        let queue = if purpose.is_urgent() { &mut self.urgent } else { &mut self.waiting };
        queue.push_back((ticket, operation));
    }

    pub fn poll(&mut self) -> Option<(Ticket, Operation)> {
        if let Some(urgent) = self.urgent.pop_front() {
            return Some(urgent);
        }
        if self.in_window >= WINDOW {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.in_window += 1;
        Some(next)
    }

    /// What the operation was for; `None` if nobody waits for it any more.
    pub fn settle(&mut self, ticket: Ticket) -> Option<Purpose> {
        let purpose = self.open.remove(&ticket)?;
        if !purpose.is_urgent() {
            self.in_window = self.in_window.saturating_sub(1);
        }
        Some(purpose)
    }

    /// Nobody waits for anything any more, and what has not left stays here.
    pub fn clear(&mut self) {
        *self = Outbox { last_ticket: self.last_ticket, ..Outbox::default() };
    }
}
