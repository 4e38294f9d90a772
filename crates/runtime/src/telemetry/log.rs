//! The log on stderr: what of it is shown, and the thread that writes it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use jumpvpn_events::{Event, EventKind, Severity};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::LOG_QUEUE_COUNT;
use super::branch::{Branch, Branched};
use super::human::{self, LogLevel};
use super::losses::Counts;

/// What may be a line of the log.
#[derive(Debug)]
pub(super) enum Logged {
    Event(Event),
    Note { severity: Severity, text: String },
}

/// Decides what is shown, and passes it on.
pub(super) struct Rules {
    level: LogLevel,
    lines: Branch<Logged>,
    /// Whether a failed handshake was told since the last session was established.
    failure_told: bool,
}

impl Rules {
    pub(super) fn new(level: LogLevel, lines: SyncSender<Branched<Logged>>) -> Rules {
        Rules { level, lines: Branch::new(lines), failure_told: false }
    }

    /// Passes an event on, if it is to be shown; false if there was no room.
    pub(super) fn event(&mut self, event: &Event) -> bool {
        !self.shows(event) || self.lines.offer(Logged::Event(*event))
    }

    /// Passes a line that is no event on, if it is to be shown; false if there was no room.
    pub(super) fn note(&mut self, severity: Severity, text: String) -> bool {
        !self.level.shows(severity) || self.lines.offer(Logged::Note { severity, text })
    }

    /// Tells what is missing; true when nothing is owed.
    pub(super) fn catch_up(&mut self) -> bool {
        self.lines.catch_up()
    }

    /// The end.
    pub(super) fn finish(self) {
        self.lines.finish();
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
}

/// Starts the thread, which drops `finish` at its end.
///
/// # Errors
/// The thread cannot be started.
pub(super) fn start(counts: Arc<Counts>, finish: SyncSender<()>) -> io::Result<SyncSender<Branched<Logged>>> {
    let (queue, lines) = sync_channel(LOG_QUEUE_COUNT);
    thread::Builder::new().name("jumpvpn-log".into()).spawn(move || {
        Log { line: String::with_capacity(256), missed_count: 0, counts }.run(&lines);
        drop(finish);
    })?;
    Ok(queue)
}

/// Writes lines for people, as far as stderr takes them.
struct Log {
    line: String,
    missed_count: u64,
    counts: Arc<Counts>,
}

impl Log {
    fn run(&mut self, lines: &Receiver<Branched<Logged>>) {
        for Branched { missed_count, what } in lines {
            self.missed_count += missed_count;
            self.line.clear();
            match what {
                Some(Logged::Event(event)) => human::write_event(&mut self.line, &event),
                Some(Logged::Note { severity, text }) => human::write_note(&mut self.line, severity, &text),
                None => {}
            }
            self.write();
        }
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
        if !self.line.is_empty() && (self.missed_count > 0 || try_write(&self.line).is_err()) {
            self.missed_count += 1;
            self.counts.log.lose();
        }
        self.counts.log.set_stuck(self.missed_count > 0);
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
