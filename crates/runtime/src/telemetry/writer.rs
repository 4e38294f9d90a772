//! The thread that hands on: queue entries become lines for those who listen, and work for the threads that write.
//!
//! Nothing here waits for anybody. How a loss is noticed stands in `marks`.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Instant;

use jumpvpn_events::{Event, Severity};

use super::branch::Branch;
use super::lanes::Lanes;
use super::log::Rules;
use super::losses::Counts;
use super::marks::{Marks, Turn};
use super::outlet::{Follower, Held, Line, Outlet};
use super::{Entry, FOLLOWERS_MAX, HELD_COUNT, RETRY_PERIOD};

/// State of the thread.
pub(super) struct Loop {
    gateway: String,
    lanes: Lanes,
    marks: Marks,
    counts: Arc<Counts>,
    file: Option<Branch<Event>>,
    followers: Vec<Outlet<Follower>>,
    held: Outlet<Held>,
    log: Rules,
    /// Whether somebody has not been told yet what is missing.
    owing: bool,
    /// Losses that the log does not tell yet, and when it told some last: a flood is a line per second, not one per hole.
    untold_count: u64,
    told_at: Option<Instant>,
}

impl Loop {
    pub(super) fn new(
        gateway: String,
        log: Rules,
        file: Option<Branch<Event>>,
        marks: Marks,
        counts: Arc<Counts>,
    ) -> Loop {
        Loop {
            gateway,
            lanes: Lanes::new(marks.lane_count()),
            marks,
            counts,
            file,
            followers: Vec::with_capacity(FOLLOWERS_MAX),
            held: Outlet::new(Held(VecDeque::with_capacity(HELD_COUNT)), 0),
            log,
            owing: false,
            untold_count: 0,
            told_at: None,
        }
    }

    pub(super) fn run(mut self, entries: &Receiver<Entry>) {
        loop {
            let entry = match self.marks.turn(entries) {
                Turn::Entry(entry) => entry,
                Turn::Over => return self.finish(),
                Turn::Quiet(lost) => {
                    self.handle_idle(&lost);
                    match self.wait(entries) {
                        Ok(entry) => entry,
                        Err(RecvTimeoutError::Timeout) => continue,
                        Err(RecvTimeoutError::Disconnected) => return self.finish(),
                    }
                }
            };
            match entry {
                Entry::Event { lane, number, event } => self.handle_event(lane, number, &event),
                Entry::Note { severity, text } => self.note(severity, text),
                Entry::Subscribe { lines, follow } => self.handle_subscription(lines, follow),
                Entry::Reopen => self.file.iter_mut().for_each(Branch::poke),
                Entry::Stop => {
                    let lost = self.marks.look();
                    self.handle_idle(&lost);
                    return self.finish();
                }
            }
        }
    }

    /// The next entry; not for ever while something is owed.
    fn wait(&self, entries: &Receiver<Entry>) -> Result<Entry, RecvTimeoutError> {
        if self.owing {
            return entries.recv_timeout(RETRY_PERIOD);
        }
        entries.recv().map_err(|_| RecvTimeoutError::Disconnected)
    }

    /// The threads that write end when they have written everything.
    fn finish(mut self) {
        self.told_at = None;
        self.tell_losses();
        // The log last: the file may still have something to say.
        self.file.into_iter().for_each(Branch::finish);
        self.log.finish();
    }

    fn handle_event(&mut self, lane: usize, number: u64, event: &Event) {
        let lost_count = self.lanes.accept(lane, number);
        self.miss(lost_count);
        if !self.log.event(event) {
            self.counts.log.lose();
        }
        if let Some(file) = &mut self.file
            && !file.offer(*event)
        {
            self.counts.file.lose();
        }
        // A gap that is due goes first and takes a number, so that the common case needs one line for all followers.
        self.held.catch_up(&self.gateway).ok();
        let line = Line::new(event, self.held.seq() + 1, &self.gateway);
        self.held.offer(&line).ok();
        let counts = &self.counts;
        self.followers.retain_mut(|follower| match follower.offer(&line) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => false,
            Err(_) => {
                counts.followers.lose();
                true
            }
            Ok(()) => true,
        });
    }

    fn note(&mut self, severity: Severity, text: String) {
        if !self.log.note(severity, text) {
            self.counts.log.lose();
        }
    }

    /// The queue is empty: account for losses that no later event reveals, and for what outlets missed.
    fn handle_idle(&mut self, lost: &[u64]) {
        let lost_count =
            lost.iter().enumerate().map(|(lane, number)| self.lanes.account_lost(lane, *number)).sum();
        self.miss(lost_count);
        self.tell_losses();
        let Loop { file, followers, held, gateway, .. } = self;
        held.catch_up(gateway).ok();
        followers.retain_mut(|follower| {
            !follower.catch_up(gateway).is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        });
        let waiting = followers.iter().any(Outlet::has_missed);
        self.counts.followers.set_stuck(waiting);
        let told = [file.as_mut().is_none_or(Branch::catch_up), self.log.catch_up()];
        self.owing = waiting || told.contains(&false) || self.untold_count > 0;
    }

    /// So many events were lost before they got here.
    fn miss(&mut self, count: u64) {
        if count == 0 {
            return;
        }
        self.untold_count += count;
        self.tell_losses();
        self.held.miss(count);
        self.file.iter_mut().for_each(|file| file.miss(count));
        self.followers.iter_mut().for_each(|follower| follower.miss(count));
    }

    /// Tells the log what was lost, if it was not told just now.
    fn tell_losses(&mut self) {
        if self.untold_count == 0 || self.told_at.is_some_and(|at| at.elapsed() < RETRY_PERIOD) {
            return;
        }
        let count = std::mem::take(&mut self.untold_count);
        self.told_at = Some(Instant::now());
        self.note(Severity::Warning, format!("{count} events are missing: more than could be written"));
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
