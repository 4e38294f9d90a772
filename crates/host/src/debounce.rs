//! Collecting a burst of additions into one look at the machine.
//!
//! A link that comes up produces a dozen messages within milliseconds (link, address, routes, each per family). One
//! snapshot after the burst is enough. Losses never pass through here: they are acted upon at once.

use std::time::Duration;

/// How long to wait after the first message of a burst. Bursts of a link coming up last a few milliseconds; a
/// person does not notice 20 ms before a *new* path is tried.
pub const ADDITION_DELAY: Duration = Duration::from_millis(20);

/// A one-shot delay, armed by the first trigger of a burst. Times are readings of any one clock.
///
/// Later triggers do not extend it, so a machine that never stops changing is still looked at every `delay`.
#[derive(Debug, Clone)]
pub struct Debounce {
    delay: Duration,
    deadline: Option<Duration>,
}

impl Debounce {
    /// A delay that is not armed. [`ADDITION_DELAY`] is the usual length.
    pub fn new(delay: Duration) -> Debounce {
        Debounce { delay, deadline: None }
    }

    /// Something changed at `now`.
    pub fn trigger(&mut self, now: Duration) {
        self.deadline.get_or_insert(now + self.delay);
    }

    /// When [`Debounce::poll_due`] will say yes, if it is armed.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Whether the delay is over at `now`; says yes once per burst.
    pub fn poll_due(&mut self, now: Duration) -> bool {
        let due = self.deadline.is_some_and(|deadline| now >= deadline);
        if due {
            self.deadline = None;
        }
        due
    }

    /// Forgets a burst, because the machine was looked at for another reason.
    pub fn cancel(&mut self) {
        self.deadline = None;
    }
}

impl Default for Debounce {
    fn default() -> Debounce {
        Debounce::new(ADDITION_DELAY)
    }
}

#[cfg(test)]
mod tests;
