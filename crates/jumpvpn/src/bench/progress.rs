//! A line on standard error that shows that something is going on: on a terminal, and only when it takes long.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// People wait this long without wondering.
const QUIET: Duration = Duration::from_secs(2);
/// Pause between two updates: quick enough to look alive.
const PAUSE: Duration = Duration::from_millis(200);

/// The line.
pub(super) struct Progress {
    label: &'static str,
    terminal: bool,
    next: Instant,
    shown: bool,
}

impl Progress {
    /// Nothing is shown for the first two seconds.
    pub(super) fn new(label: &'static str) -> Progress {
        let terminal = std::io::stderr().is_terminal();
        Progress { label, terminal, next: Instant::now() + QUIET, shown: false }
    }

    /// `done` of `total` steps are done.
    pub(super) fn step(&mut self, done: usize, total: usize) {
        if !self.terminal || Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + PAUSE;
        self.shown = true;
        let percent = done * 100 / total.max(1);
        // Who has closed standard error wants no progress.
        write!(std::io::stderr(), "\r{}: {percent:3} %", self.label).unwrap_or_default();
    }

    /// Takes the line away.
    pub(super) fn end(&mut self) {
        if self.shown {
            write!(std::io::stderr(), "\r{:width$}\r", "", width = self.label.len() + 7).unwrap_or_default();
            self.shown = false;
        }
    }
}
