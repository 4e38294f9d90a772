//! Events on their way out: from the engine threads over one bounded queue to a writer thread.
//!
//! An engine thread numbers its events and hands them over without ever waiting ([`Feed`]). When the queue is full the
//! event is lost, and the hole in the numbers is how the writer learns of it: it puts one TELEMETRY_GAP in place of what
//! is missing. The same holds for each outlet (file, log, followers), which may be stuck without holding up the others.

mod file;
mod human;
mod lanes;
mod log;
mod outlet;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use jumpvpn_events::{Event, Severity};

pub use file::open_event_file;
pub use human::LogLevel;

/// Events waiting for the writer. A mass reattach gives about two events per session and move; 4096 of them are
/// 0.5 MiB and some tens of milliseconds of writing.
const QUEUE_COUNT: usize = 4096;
/// Lines held for those who ask what happened last, and lines waiting for one follower before it gets a gap. A line has
/// about 300 bytes.
const HELD_COUNT: usize = 256;
/// Followers at a time; the control socket serves fewer clients than that.
const FOLLOWERS_MAX: usize = 16;

/// What is to be done with events.
#[derive(Debug, Default)]
pub struct Options {
    /// Value of the key `gateway` in every line.
    pub gateway: String,
    /// JSON Lines go here, opened by [`open_event_file`].
    pub file: Option<std::fs::File>,
    /// Where the file is, for messages.
    pub file_path: PathBuf,
    /// What the log on stderr shows.
    pub log_level: LogLevel,
    /// Number of engine threads that will feed events; their lanes are numbered from 0.
    pub lane_count: usize,
}

/// One entry of the queue.
enum Entry {
    Event { lane: usize, number: u64, event: Event },
    Note { severity: Severity, text: String },
    Subscribe { lines: SyncSender<Arc<str>>, follow: bool },
    Stop,
}

/// The queue as seen by threads other than the engines'.
#[derive(Clone)]
pub struct Telemetry {
    queue: SyncSender<Entry>,
    lost: Arc<[AtomicU64]>,
}

/// The writer thread, to be finished at the end.
pub struct Writer {
    telemetry: Telemetry,
    finished: Receiver<()>,
}

impl Telemetry {
    /// Starts the writer thread.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(options: Options) -> io::Result<Writer> {
        let (queue, entries) = sync_channel(QUEUE_COUNT);
        let (finish, finished) = sync_channel(1);
        let lost: Arc<[AtomicU64]> = (0..options.lane_count.max(1)).map(|_| AtomicU64::new(0)).collect();
        let writer = writer::Loop::new(options, Arc::clone(&lost));
        thread::Builder::new().name("jumpvpn-events".into()).spawn(move || {
            writer.run(&entries);
            // Nobody waits for it when the deadline of `finish` is over.
            finish.try_send(()).ok();
        })?;
        Ok(Writer { telemetry: Telemetry { queue, lost }, finished })
    }

    /// The entrance for the engine thread of `lane`. Call it once per lane: the lane's numbers start at 1.
    pub fn feed(&self, lane: usize) -> Feed {
        Feed { lane, number: 0, overflow_count: 0, telemetry: self.clone() }
    }

    /// A line for the log on stderr that is no event. Never waits; lost when the queue is full.
    pub fn note(&self, severity: Severity, text: impl Into<String>) {
        self.queue.try_send(Entry::Note { severity, text: text.into() }).ok();
    }

    /// Events as JSON lines without the line feed: the last 256 ones and then the end, or with `follow`
    /// every one from now on. Nothing if the queue is full at the moment.
    pub fn subscribe(&self, follow: bool) -> Option<Receiver<Arc<str>>> {
        let (lines, subscriber) = sync_channel(HELD_COUNT);
        self.queue.try_send(Entry::Subscribe { lines, follow }).ok().map(|()| subscriber)
    }
}

impl Writer {
    /// The queue.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// Lets the thread write what is queued and end; false if it did not manage within `limit` (a stuck disk).
    pub fn finish(self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut entry = Entry::Stop;
        while let Err(TrySendError::Full(back)) = self.telemetry.queue.try_send(entry) {
            entry = back;
            let left = deadline.saturating_duration_since(Instant::now()).min(Duration::from_millis(5));
            if left.is_zero() {
                return false;
            }
            // The queue is full: give the writer time, unless it ended by itself.
            if !matches!(self.finished.recv_timeout(left), Err(RecvTimeoutError::Timeout)) {
                return true;
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        !matches!(self.finished.recv_timeout(left), Err(RecvTimeoutError::Timeout))
    }
}

/// One engine thread's entrance to the queue.
pub struct Feed {
    lane: usize,
    number: u64,
    overflow_count: u64,
    telemetry: Telemetry,
}

impl Feed {
    /// Numbers the event and hands it over. Never waits and never allocates.
    pub fn push(&mut self, event: Event) {
        self.number += 1;
        let entry = Entry::Event { lane: self.lane, number: self.number, event };
        if self.telemetry.queue.try_send(entry).is_err() {
            self.overflow_count += 1;
            // After the failed attempt: everything older is in the queue or lost as well (see `writer`).
            self.telemetry.lost[self.lane].store(self.number, Ordering::Release);
        }
    }

    /// Events lost because the queue was full.
    pub fn overflow_count(&self) -> u64 {
        self.overflow_count
    }

    /// As [`Telemetry::note`].
    pub fn note(&self, severity: Severity, text: impl Into<String>) {
        self.telemetry.note(severity, text);
    }
}

#[cfg(test)]
mod tests;
