//! Bounded queue of events that wait for `poll_event`.
use std::collections::VecDeque;

use jumpvpn_events::{Event, Reason};

use crate::Counters;

/// Events that may wait; nobody who reads them after each wake-up ever sees it full.
const CAPACITY: usize = 4096;

/// The queue. On overflow the oldest event gives way and is counted: an engine never waits for its readers.
pub(crate) struct EventQueue(VecDeque<Event>);

impl EventQueue {
    /// An empty queue with all memory allotted.
    pub fn new() -> EventQueue {
        EventQueue(VecDeque::with_capacity(CAPACITY))
    }

    /// Queues an event.
    pub fn push(&mut self, event: Event, counters: &mut Counters) {
        if self.0.len() == CAPACITY {
            self.0.pop_front();
            counters.drops.record(Reason::TelemetryOverflow);
        }
        self.0.push_back(event);
    }

    /// Takes the oldest event.
    pub fn pop(&mut self) -> Option<Event> {
        self.0.pop_front()
    }
}
