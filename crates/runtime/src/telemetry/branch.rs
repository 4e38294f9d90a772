//! The bounded queue from the thread that hands events on to one that writes, with the memory of what did not fit.

use std::sync::mpsc::{SyncSender, TrySendError};

/// What goes over the queue.
#[derive(Debug)]
pub(super) struct Branched<T> {
    /// So many before it are missing.
    pub(super) missed_count: u64,
    /// What there is to write; nothing when it is only about what is missing.
    pub(super) what: Option<T>,
}

/// See the head of this file.
pub(super) struct Branch<T> {
    queue: SyncSender<Branched<T>>,
    /// Not yet told to the other side.
    missed_count: u64,
}

impl<T> Branch<T> {
    pub(super) fn new(queue: SyncSender<Branched<T>>) -> Branch<T> {
        Branch { queue, missed_count: 0 }
    }

    /// Hands something over; false if it did not fit.
    pub(super) fn offer(&mut self, what: T) -> bool {
        let offered = self.try_send(Some(what));
        self.missed_count += u64::from(!offered);
        offered
    }

    /// So many were lost before they got here.
    pub(super) fn miss(&mut self, count: u64) {
        self.missed_count += count;
    }

    /// Tells the other side what is missing, if it has room; true when nothing is owed.
    pub(super) fn catch_up(&mut self) -> bool {
        self.missed_count == 0 || self.try_send(None)
    }

    /// Wakes the other side up.
    pub(super) fn poke(&mut self) {
        self.try_send(None);
    }

    /// Tells what is missing, however long that takes. Then there will be nothing more.
    pub(super) fn finish(self) {
        if self.missed_count > 0 {
            // A side that is gone needs no news.
            self.queue.send(Branched { missed_count: self.missed_count, what: None }).ok();
        }
    }

    fn try_send(&mut self, what: Option<T>) -> bool {
        match self.queue.try_send(Branched { missed_count: self.missed_count, what }) {
            Ok(()) => self.missed_count = 0,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests;
