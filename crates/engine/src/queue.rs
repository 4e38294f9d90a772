//! Bounded queue of events that wait for `poll_event`.
use std::collections::VecDeque;

use jumpvpn_events::{Event, Reason};

use crate::Counters;

/// The queue. On overflow the oldest event gives way and is counted: an engine never waits for its readers. Nobody who
/// reads them after each wake-up ever sees it full.
pub(crate) struct EventQueue {
    events: VecDeque<Event>,
    capacity: usize,
}

impl EventQueue {
    /// An empty queue for that many, with all memory allotted.
    pub fn new(capacity: usize) -> EventQueue {
        EventQueue { events: VecDeque::with_capacity(capacity), capacity }
    }

    /// Queues an event.
    pub fn push(&mut self, event: Event, counters: &mut Counters) {
        if self.events.len() == self.capacity {
            self.events.pop_front();
            counters.drops.record(Reason::TelemetryOverflow);
        }
        self.events.push_back(event);
    }

    /// Takes the oldest event.
    pub fn pop(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if self.events.is_empty() {
            // Begin at the front again: a ring would walk through all its memory, and make it resident, for nothing.
            self.events.clear();
        }
        event
    }
}
