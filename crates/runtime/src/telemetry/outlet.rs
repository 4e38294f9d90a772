//! One way out for lines, which may be stuck by itself: it then misses lines and says so once it moves again.
//!
//! Each outlet numbers its own lines, so that whoever reads it sees every number once: on a line, or in the range of a
//! TELEMETRY_GAP (which itself takes the number behind its range). The numbers of two outlets are equal as long as
//! neither missed anything that the other one did not.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};

use jumpvpn_events::{Event, EventKind, Reason, json};

use super::HELD_COUNT;
use crate::clock;

/// Takes one line (without line feed) completely or refuses it; never waits.
pub(super) trait LineSink {
    /// # Errors
    /// Why the line was not taken; `BrokenPipe` when nobody will ever read again.
    fn try_write(&mut self, line: &Arc<str>) -> io::Result<()>;

    /// Whether the line that was taken last has come to nothing since, because its end could not be written. Says so
    /// once, and before the next line is offered.
    fn has_lost_last(&mut self) -> bool {
        false
    }
}

/// An event with the line that most outlets will write.
pub(super) struct Line<'a> {
    event: &'a Event,
    gateway: &'a str,
    seq: u64,
    text: Arc<str>,
}

impl<'a> Line<'a> {
    /// The line of `event` under number `seq`.
    pub(super) fn new(event: &'a Event, seq: u64, gateway: &'a str) -> Line<'a> {
        Line { event, gateway, seq, text: format_line(event, seq, gateway) }
    }

    fn numbered(&self, seq: u64) -> Arc<str> {
        if seq == self.seq { Arc::clone(&self.text) } else { format_line(self.event, seq, self.gateway) }
    }
}

/// A sink with its numbers and the memory of what it missed.
pub(super) struct Outlet<S> {
    sink: S,
    /// Number of the last line written.
    seq: u64,
    /// Lines missed since.
    missed_count: u64,
}

impl<S: LineSink> Outlet<S> {
    /// An outlet whose next line has the number behind `seq`.
    pub(super) fn new(sink: S, seq: u64) -> Outlet<S> {
        Outlet { sink, seq, missed_count: 0 }
    }

    /// Writes the line, behind a gap if one is due.
    ///
    /// # Errors
    /// The sink's, when it refused; the line is missed then.
    pub(super) fn offer(&mut self, line: &Line<'_>) -> io::Result<()> {
        let result = self.catch_up(line.gateway).and_then(|()| {
            let seq = self.seq + 1;
            self.sink.try_write(&line.numbered(seq))?;
            self.seq = seq;
            Ok(())
        });
        if result.is_err() {
            self.missed_count += 1;
        }
        result
    }

    /// Lines were lost before they got here.
    pub(super) fn miss(&mut self, count: u64) {
        self.missed_count += count;
    }

    /// Writes the gap that is due, if one is.
    ///
    /// # Errors
    /// The sink's, when it refused; nothing is forgotten then.
    pub(super) fn catch_up(&mut self, gateway: &str) -> io::Result<()> {
        if self.sink.has_lost_last() {
            // Its number is in the gap, which begins with it.
            self.seq = self.seq.saturating_sub(1);
            self.missed_count += 1;
        }
        if self.missed_count == 0 {
            return Ok(());
        }
        let (first_seq, last_seq) = (self.seq + 1, self.seq + self.missed_count);
        let kind = EventKind::TelemetryGap { first_seq, last_seq };
        let reason = Reason::TelemetryOverflow;
        let event = Event { at: clock::now(), session: None, step: 0, epoch: 0, version: 0, reason, kind };
        self.sink.try_write(&format_line(&event, last_seq + 1, gateway))?;
        self.seq = last_seq + 1;
        self.missed_count = 0;
        Ok(())
    }

    /// Whether lines were missed since the last gap was written.
    pub(super) fn has_missed(&self) -> bool {
        self.missed_count > 0
    }

    /// Number of the last line written.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// How many were missed since.
    pub(super) fn missed_count(&self) -> u64 {
        self.missed_count
    }

    /// Where the lines go.
    pub(super) fn sink(&self) -> &S {
        &self.sink
    }

    /// The same, to be changed.
    pub(super) fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }
}

fn format_line(event: &Event, seq: u64, gateway: &str) -> Arc<str> {
    // The longest line (a switch with two long path names) has about 360 bytes.
    let mut line = String::with_capacity(384);
    json::write_line(&mut line, event, seq, clock::unix_nanos(event.at), gateway);
    line.into()
}

/// The last lines, for those who ask what happened. Never refuses.
pub(super) struct Held(pub(super) VecDeque<Arc<str>>);

impl LineSink for Held {
    fn try_write(&mut self, line: &Arc<str>) -> io::Result<()> {
        if self.0.len() == HELD_COUNT {
            self.0.pop_front();
        }
        self.0.push_back(Arc::clone(line));
        Ok(())
    }
}

/// A follower behind a bounded queue.
pub(super) struct Follower(pub(super) SyncSender<Arc<str>>);

impl LineSink for Follower {
    fn try_write(&mut self, line: &Arc<str>) -> io::Result<()> {
        self.0.try_send(Arc::clone(line)).map_err(|error| match error {
            TrySendError::Full(_) => io::ErrorKind::WouldBlock.into(),
            TrySendError::Disconnected(_) => io::ErrorKind::BrokenPipe.into(),
        })
    }
}

#[cfg(test)]
mod tests;
