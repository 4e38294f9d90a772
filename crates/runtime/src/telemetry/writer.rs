//! The writer thread: queue entries become lines, lines go to every outlet.
//!
//! How a loss is noticed: an entrance stores the number of a lost event *after* its attempt failed, at a time when the
//! queue was full. So when the writer reads that number and then finds the queue empty, everything up to it was either
//! written or lost. A loss always leaves a full queue behind, hence the writer is awake and looks again.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};

use jumpvpn_events::{Event, Severity};

use super::file::FileSink;
use super::lanes::Lanes;
use super::log::Log;
use super::outlet::{Follower, Held, Line, Outlet};
use super::{Entry, FOLLOWERS_MAX, HELD_COUNT, Options};

/// State of the writer thread.
pub(super) struct Loop {
    gateway: String,
    lanes: Lanes,
    lost: Arc<[AtomicU64]>,
    file: Option<Outlet<FileSink>>,
    file_path: PathBuf,
    followers: Vec<Outlet<Follower>>,
    held: Outlet<Held>,
    log: Log,
}

impl Loop {
    pub(super) fn new(options: Options, lost: Arc<[AtomicU64]>) -> Loop {
        Loop {
            gateway: options.gateway,
            lanes: Lanes::new(lost.len()),
            lost,
            file: options.file.map(|file| Outlet::new(FileSink::new(file), 0)),
            file_path: options.file_path,
            followers: Vec::with_capacity(FOLLOWERS_MAX),
            held: Outlet::new(Held(VecDeque::with_capacity(HELD_COUNT)), 0),
            log: Log::new(options.log_level),
        }
    }

    pub(super) fn run(mut self, entries: &Receiver<Entry>) {
        loop {
            let lost = self.lost_so_far();
            let entry = match entries.try_recv() {
                Ok(entry) => entry,
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {
                    self.handle_idle(&lost);
                    let Ok(entry) = entries.recv() else { return };
                    entry
                }
            };
            match entry {
                Entry::Event { lane, number, event } => self.handle_event(lane, number, &event),
                Entry::Note { severity, text } => self.log.note(severity, &text),
                Entry::Subscribe { lines, follow } => self.handle_subscription(lines, follow),
                Entry::Stop => {
                    let lost = self.lost_so_far();
                    return self.handle_idle(&lost);
                }
            }
        }
    }

    fn lost_so_far(&self) -> Vec<u64> {
        self.lost.iter().map(|number| number.load(Ordering::Acquire)).collect()
    }

    fn handle_event(&mut self, lane: usize, number: u64, event: &Event) {
        let lost_count = self.lanes.accept(lane, number);
        self.miss(lost_count);
        self.log.event(event);
        // A gap that is due goes first and takes a number, so that the common case needs one line for all outlets.
        self.held.catch_up(&self.gateway).ok();
        let line = Line::new(event, self.held.seq() + 1, &self.gateway);
        self.held.offer(&line).ok();
        if let Some(file) = &mut self.file {
            let was_fine = !file.has_missed();
            if let (Err(error), true) = (file.offer(&line), was_fine) {
                let text = format!("cannot write events to {}: {error}; going on", self.file_path.display());
                self.log.note(Severity::Warning, &text);
            }
        }
        self.followers.retain_mut(|follower| !is_broken(follower.offer(&line)));
    }

    /// The queue is empty: account for losses that no later event reveals, and for what outlets missed.
    fn handle_idle(&mut self, lost: &[u64]) {
        let lost_count =
            lost.iter().enumerate().map(|(lane, number)| self.lanes.account_lost(lane, *number)).sum();
        self.miss(lost_count);
        let Loop { file, followers, held, gateway, .. } = self;
        // An outlet that is still stuck was reported when it began.
        held.catch_up(gateway).ok();
        file.iter_mut().for_each(|file| {
            file.catch_up(gateway).ok();
        });
        followers.retain_mut(|follower| !is_broken(follower.catch_up(gateway)));
    }

    /// So many events were lost before they got here.
    fn miss(&mut self, count: u64) {
        if count == 0 {
            return;
        }
        self.log.note(Severity::Warning, &format!("{count} events are missing: more than could be written"));
        self.held.miss(count);
        self.file.iter_mut().for_each(|file| file.miss(count));
        self.followers.iter_mut().for_each(|follower| follower.miss(count));
    }

    fn handle_subscription(&mut self, lines: SyncSender<Arc<str>>, follow: bool) {
        if !follow {
            // Room for all of them was made by who asked; a subscriber that left wants none.
            self.held.sink().0.iter().try_for_each(|line| lines.try_send(Arc::clone(line))).ok();
        } else if self.followers.len() < FOLLOWERS_MAX {
            self.followers.push(Outlet::new(Follower(lines), self.held.seq()));
        }
    }
}

fn is_broken(result: io::Result<()>) -> bool {
    result.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
