//! Events on their way out: from the engine threads over one bounded queue to a thread that hands them on, and from
//! there over a bounded queue for each outlet to the threads that write.
//!
//! An engine thread numbers its events and hands them over without ever waiting ([`Feed`]). When the queue is full the
//! event is lost, and the hole in the numbers is how the other side learns of it: it puts one TELEMETRY_GAP in place of
//! what is missing. The same holds for each outlet (file, log, followers): each may be stuck for good, in write(2) if it
//! must be, without holding up the others. What was lost is counted by outlet ([`Losses`]) and part of the status.

mod branch;
mod file;
mod human;
mod lanes;
mod log;
mod losses;
mod marks;
mod outlet;
mod recorder;
mod writer;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use jumpvpn_events::{Event, Severity};

pub use file::EventFile;
pub use human::LogLevel;
pub use losses::{Losses, SinkLosses};
use marks::Marks;

/// Events waiting to be handed on, and waiting for the file. A mass reattach gives about two events per session and move;
/// 4096 of them are 0.5 MiB and some tens of milliseconds of writing.
const QUEUE_COUNT: usize = 4096;
/// Lines waiting for stderr: a screen or a journal that is further behind has no reader who misses them.
const LOG_QUEUE_COUNT: usize = 256;
/// How often an outlet that owes a gap is tried while nothing else happens: as long as a person waits for news.
const RETRY_PERIOD: Duration = Duration::from_secs(1);
/// Lines held for those who ask what happened last, and lines waiting for one follower before it gets a gap. A line has
/// about 300 bytes.
const HELD_COUNT: usize = 256;
/// Followers at a time; the control socket serves no more clients than that.
const FOLLOWERS_MAX: usize = 16;

/// What is to be done with events.
#[derive(Debug, Default)]
pub struct Options {
    /// Value of the key `gateway` in every line.
    pub gateway: String,
    /// JSON Lines go here.
    pub file: Option<EventFile>,
    /// What the log on stderr shows.
    pub log_level: LogLevel,
    /// Number of engine threads that will feed events; their lanes are numbered from 0.
    pub lane_count: usize,
}

/// One entry of the queue.
enum Entry {
    Event {
        lane: usize,
        number: u64,
        event: Event,
    },
    Note {
        severity: Severity,
        text: String,
    },
    Subscribe {
        lines: SyncSender<Arc<str>>,
        follow: bool,
    },
    /// The file is to be opened anew.
    Reopen,
    Stop,
}

/// The queue as seen by threads other than the engines'.
#[derive(Clone)]
pub struct Telemetry {
    queue: SyncSender<Entry>,
    marks: Marks,
    losses: Arc<losses::Counts>,
}

/// The threads that write, to be finished at the end.
pub struct Writer {
    telemetry: Telemetry,
    finished: Receiver<()>,
}

impl Telemetry {
    /// Starts the threads.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(options: Options) -> io::Result<Writer> {
        let (queue, entries) = sync_channel(QUEUE_COUNT);
        // Nothing is ever sent: the threads have ended when all of them have dropped their end.
        let (finish, finished) = sync_channel::<()>(0);
        let marks = Marks::new(options.lane_count.max(1));
        let losses = Arc::new(losses::Counts::new(options.file.is_some()));
        let telemetry = Telemetry { queue, marks: marks.clone(), losses: Arc::clone(&losses) };
        let log = log::start(Arc::clone(&losses), finish.clone())?;
        let file = match options.file {
            Some(file) => {
                let log = (options.log_level, log.clone());
                let recorder =
                    recorder::Recorder::new(file, options.gateway.clone(), log, Arc::clone(&losses));
                Some(recorder.start(finish.clone())?)
            }
            None => None,
        };
        let log = log::Rules::new(options.log_level, log);
        let writer = writer::Loop::new(options.gateway, log, file, marks, losses);
        thread::Builder::new().name("jumpvpn-events".into()).spawn(move || {
            writer.run(&entries);
            drop(finish);
        })?;
        Ok(Writer { telemetry, finished })
    }

    /// What was lost so far, by outlet.
    pub fn losses(&self) -> Losses {
        self.losses.look()
    }

    /// Opens the event file anew, for a program that has moved the present one away. Never waits; what is not yet
    /// written goes to the new one.
    pub fn reopen(&self) {
        self.losses.want_reopen();
        // A full queue is a reason to come back to the file soon anyway.
        self.queue.try_send(Entry::Reopen).ok();
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

    /// Lets the threads write what is queued and end; false if they did not manage within `limit` (a stuck disk).
    pub fn finish(self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut entry = Entry::Stop;
        let ended = |left| matches!(self.finished.recv_timeout(left), Err(RecvTimeoutError::Disconnected));
        while let Err(TrySendError::Full(back)) = self.telemetry.queue.try_send(entry) {
            entry = back;
            let left = deadline.saturating_duration_since(Instant::now()).min(Duration::from_millis(5));
            // The queue is full: give the threads time.
            if left.is_zero() || ended(left) {
                return ended(Duration::ZERO);
            }
        }
        ended(deadline.saturating_duration_since(Instant::now()))
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
        let Telemetry { queue, marks, losses } = &self.telemetry;
        if !marks.hand_over(queue, self.lane, self.number, entry) {
            self.overflow_count += 1;
            losses.lose_queued(1);
        }
    }

    /// So many events were lost before they got here, all of them before the next one that is pushed.
    pub fn skip(&mut self, count: u64) {
        if count > 0 {
            self.number += count;
            self.telemetry.losses.lose_queued(count);
            // Everything older is in the queue or lost as well.
            self.telemetry.marks.lose(self.lane, self.number);
        }
    }

    /// Events lost because the queue was full, without those that were skipped.
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
