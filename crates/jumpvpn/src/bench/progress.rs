//! A line on standard error that shows that something is going on: on a terminal, and only when it takes long.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// People wait this long without wondering.
const QUIET: Duration = Duration::from_secs(2);
/// Pause between two updates: quick enough to look alive.
const PAUSE: Duration = Duration::from_millis(200);

/// Back to the first column, and everything behind it away (ECMA-48, erase in line).
const CLEAR: &str = "\r\x1b[K";

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
        if self.is_due() {
            self.show(&format!("{:3} %", done * 100 / total.max(1)));
        }
    }

    /// What is being done now.
    pub(super) fn say(&mut self, what: &str) {
        if self.is_due() {
            self.show(what);
        }
    }

    fn is_due(&mut self) -> bool {
        self.terminal && Instant::now() >= self.next
    }

    fn show(&mut self, what: &str) {
        self.next = Instant::now() + PAUSE;
        self.shown = true;
        // Who has closed standard error wants no progress.
        write!(std::io::stderr(), "{CLEAR}{}: {what}", self.label).unwrap_or_default();
    }

    /// Takes the line away.
    pub(super) fn end(&mut self) {
        if self.shown {
            std::io::stderr().write_all(CLEAR.as_bytes()).unwrap_or_default();
            self.shown = false;
        }
    }
}
