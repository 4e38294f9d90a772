//! Settings that are on their way onto the machine.
//!
//! An engine does not wait until addresses and routes are set, but who asks for the status must: a script that reads
//! ATTACHED is going to use the tunnel at once.

use std::time::Duration;

use crate::sync::{Condvar, Mutex, PoisonError};

/// Counts what is on its way.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    count: Mutex<u32>,
    settled: Condvar,
}

impl Settling {
    /// Something is on its way.
    pub(crate) fn begin(&self) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }

    /// It has arrived, or failed.
    pub(crate) fn end(&self) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.saturating_sub(1);
        self.settled.notify_all();
    }

    /// Waits until nothing is on its way, at most for `limit`.
    pub(crate) fn wait(&self, limit: Duration) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        // The limit is over or a lock was poisoned: the answer is given as it is.
        drop(self.settled.wait_timeout_while(count, limit, |count| *count > 0));
    }
}

#[cfg(test)]
mod tests;
