//! The log on stderr.

use std::io;

use jumpvpn_events::{Event, EventKind, Severity};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::human::{self, LogLevel};

/// Writes lines for people, as far as stderr takes them.
pub(super) struct Log {
    level: LogLevel,
    line: String,
    missed_count: u64,
    /// Whether a failed handshake was told since the last session was established.
    failure_told: bool,
}

impl Log {
    pub(super) fn new(level: LogLevel) -> Log {
        Log { level, line: String::with_capacity(256), missed_count: 0, failure_told: false }
    }

    /// Writes the line of an event, if it is to be shown.
    pub(super) fn event(&mut self, event: &Event) {
        if self.shows(event) {
            self.line.clear();
            human::write_event(&mut self.line, event);
            self.write();
        }
    }

    /// Writes a line that is no event, if it is to be shown.
    pub(super) fn note(&mut self, severity: Severity, text: &str) {
        if self.level.shows(severity) {
            self.line.clear();
            human::write_note(&mut self.line, severity, text);
            self.write();
        }
    }

    /// An agent without a gateway goes on trying for hours: that it does is said once, at the first failure.
    fn shows(&mut self, event: &Event) -> bool {
        let severity = event.reason.severity();
        match event.kind {
            EventKind::SessionBirth { .. } => self.failure_told = false,
            EventKind::Handshake { .. } if self.failure_told && self.level != LogLevel::Verbose => {
                return false;
            }
            EventKind::Handshake { .. } => self.failure_told |= severity >= Severity::Warning,
            _ => {}
        }
        self.level.shows(severity)
    }

    fn write(&mut self) {
        if self.missed_count > 0 {
            let text = format!("{} lines are missing here: stderr was stuck", self.missed_count);
            let mut line = String::new();
            human::write_note(&mut line, Severity::Warning, &text);
            if try_write(&line).is_ok() {
                self.missed_count = 0;
            }
        }
        if self.missed_count > 0 || try_write(&self.line).is_err() {
            self.missed_count += 1;
        }
    }
}

/// Writes to stderr unless whoever reads it is stuck. Stderr stays blocking (its flags belong to everybody who has it
/// open), so ask first: a pipe reports room from 4096 bytes on, longer than any of our lines.
fn try_write(line: &str) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut fds, Some(&now))? == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    io::Write::write_all(&mut stderr, line.as_bytes())
}

#[cfg(test)]
mod tests;
