//! What happened, in words, for whoever has to understand a failing seed.
use std::collections::VecDeque;

use jumpvpn_events::Time;

use crate::scenario::BEGIN;

/// The last lines of the story. Nothing is written, and nothing costs, unless somebody asked for it.
pub(crate) struct Trace {
    lines: VecDeque<String>,
    limit: usize,
}

impl Trace {
    /// A trace of at most so many lines.
    pub fn new(limit: usize) -> Trace {
        Trace { lines: VecDeque::new(), limit }
    }

    /// Adds a line.
    pub fn line(&mut self, now: Time, words: impl FnOnce() -> String) {
        if self.limit == 0 {
            return;
        }
        if self.lines.len() == self.limit {
            self.lines.pop_front();
        }
        let at = now.since(BEGIN);
        self.lines.push_back(format!("{:>4}.{:06} {}", at.as_secs(), at.subsec_micros(), words()));
    }

    /// The lines.
    pub fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines).into()
    }
}
