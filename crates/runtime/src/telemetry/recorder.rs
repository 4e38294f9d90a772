//! The thread that writes the event file. A disk that hangs, is full or is gone holds up this thread alone.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;

use jumpvpn_events::{Event, Severity};

use super::branch::{Branch, Branched};
use super::file::{EventFile, FileSink};
use super::human::LogLevel;
use super::log::Logged;
use super::losses::Counts;
use super::outlet::{Line, Outlet};
use super::{QUEUE_COUNT, RETRY_PERIOD};

/// See the head of this file.
pub(super) struct Recorder {
    outlet: Outlet<FileSink>,
    gateway: String,
    log: SyncSender<Branched<Logged>>,
    level: LogLevel,
    counts: Arc<Counts>,
    /// Whether the last attempt failed: that it does is said once.
    failing: bool,
}

impl Recorder {
    pub(super) fn new(
        file: EventFile,
        gateway: String,
        (level, log): (LogLevel, SyncSender<Branched<Logged>>),
        counts: Arc<Counts>,
    ) -> Recorder {
        Recorder { outlet: Outlet::new(FileSink::new(file), 0), gateway, log, level, counts, failing: false }
    }

    /// Starts the thread, which drops `finish` at its end.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(mut self, finish: SyncSender<()>) -> io::Result<Branch<Event>> {
        let (queue, events) = sync_channel(QUEUE_COUNT);
        thread::Builder::new().name("jumpvpn-file".into()).spawn(move || {
            self.run(&events);
            drop(finish);
        })?;
        Ok(Branch::new(queue))
    }

    fn run(&mut self, events: &Receiver<Branched<Event>>) {
        loop {
            let next = if self.outlet.has_missed() {
                events.recv_timeout(RETRY_PERIOD)
            } else {
                events.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            if self.counts.take_reopen() {
                self.reopen();
            }
            match next {
                Ok(Branched { missed_count, what }) => self.handle(missed_count, what.as_ref()),
                Err(RecvTimeoutError::Timeout) => self.handle(0, None),
                Err(RecvTimeoutError::Disconnected) => return self.handle(0, None),
            }
        }
    }

    fn handle(&mut self, missed_count: u64, event: Option<&Event>) {
        self.outlet.miss(missed_count);
        let missed_count = self.outlet.missed_count();
        let result = match event {
            Some(event) => {
                self.outlet.offer(&Line::new(event, self.outlet.seq() + 1, &self.gateway)).inspect_err(|_| {
                    self.counts.file.lose();
                })
            }
            None => self.outlet.catch_up(&self.gateway),
        };
        self.counts.file.set_stuck(self.outlet.has_missed());
        match result {
            Err(error) if !self.failing => {
                self.failing = true;
                self.say(
                    Severity::Warning,
                    format!("cannot write events to {}: {error}; going on", self.path()),
                );
            }
            Ok(()) if self.failing && !self.outlet.has_missed() => {
                self.failing = false;
                let text = format!("events are written to {} again; {missed_count} are missing", self.path());
                self.say(Severity::Notice, text);
            }
            _ => {}
        }
    }

    fn reopen(&mut self) {
        match self.outlet.sink_mut().reopen() {
            Ok(()) => self.say(Severity::Notice, format!("opened the event file {} anew", self.path())),
            Err(error) => {
                let text = format!("cannot open the event file {}: {error}; trying on", self.path());
                self.say(Severity::Warning, text);
            }
        }
    }

    fn path(&self) -> String {
        self.outlet.sink().path().display().to_string()
    }

    fn say(&self, severity: Severity, text: String) {
        if !self.level.shows(severity) {
            return;
        }
        // A log that is full has more urgent things to say.
        self.log.try_send(Branched { missed_count: 0, what: Some(Logged::Note { severity, text }) }).ok();
    }
}
