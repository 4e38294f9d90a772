//! What was lost on the way out, counted where it is lost and read by whoever asks for the status.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Losses of one outlet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkLosses {
    /// Events (of the log: lines) it did not take since the start.
    pub dropped: u64,
    /// Whether it takes nothing at the moment.
    pub stuck: bool,
}

/// What was lost since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Events lost before they reached any outlet: they are missing in all of them.
    pub queue: u64,
    /// The event file; `None` without one.
    pub file: Option<SinkLosses>,
    /// The log on stderr.
    pub log: SinkLosses,
    /// Those who follow over the control socket, all together.
    pub followers: SinkLosses,
}

/// The counters behind [`Losses`].
#[derive(Debug, Default)]
pub(super) struct Counts {
    queue: AtomicU64,
    has_file: bool,
    pub(super) file: Sink,
    pub(super) log: Sink,
    pub(super) followers: Sink,
    reopen: AtomicBool,
}

/// One outlet's counters.
#[derive(Debug, Default)]
pub(super) struct Sink {
    dropped: AtomicU64,
    stuck: AtomicBool,
}

impl Counts {
    pub(super) fn new(has_file: bool) -> Counts {
        Counts { has_file, ..Counts::default() }
    }

    pub(super) fn lose_queued(&self, count: u64) {
        self.queue.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn look(&self) -> Losses {
        Losses {
            queue: self.queue.load(Ordering::Relaxed),
            file: self.has_file.then(|| self.file.look()),
            log: self.log.look(),
            followers: self.followers.look(),
        }
    }

    /// Somebody wants the file to be opened anew.
    pub(super) fn want_reopen(&self) {
        self.reopen.store(true, Ordering::Release);
    }

    /// Whether somebody did since the last call.
    pub(super) fn take_reopen(&self) -> bool {
        self.reopen.swap(false, Ordering::AcqRel)
    }
}

impl Sink {
    /// One more was not taken.
    pub(super) fn lose(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.stuck.store(true, Ordering::Relaxed);
    }

    /// Everything that is owed was taken, or not.
    pub(super) fn set_stuck(&self, stuck: bool) {
        self.stuck.store(stuck, Ordering::Relaxed);
    }

    fn look(&self) -> SinkLosses {
        SinkLosses {
            dropped: self.dropped.load(Ordering::Relaxed),
            stuck: self.stuck.load(Ordering::Relaxed),
        }
    }
}
