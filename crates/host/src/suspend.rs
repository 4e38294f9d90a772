//! Telling a sleep of the machine from a stall of the program.
//!
//! Both look alike to a timer that fires late. CLOCK_BOOTTIME runs on while the machine sleeps and CLOCK_MONOTONIC
//! does not, so only a sleep makes the distance between the two grow.

use std::time::Duration;

/// A growth of the distance between the clocks below this is reading noise: the two clocks are read one after the
/// other, and a preemption in between is rarely longer. A real suspend takes longer than this to enter.
pub const NOISE: Duration = Duration::from_millis(250);

/// Watches the distance between the two clocks.
#[derive(Debug, Clone, Default)]
pub struct SuspendDetector {
    distance: Option<Duration>,
}

impl SuspendDetector {
    /// Takes a reading of both clocks (see [`clock`](crate::clock)); returns how long the machine slept since the
    /// reading before, if it did.
    pub fn observe(&mut self, boottime: Duration, monotonic: Duration) -> Option<Duration> {
        let distance = boottime.saturating_sub(monotonic);
        let before = self.distance.replace(distance)?;
        let slept = distance.saturating_sub(before);
        (slept >= NOISE).then_some(slept)
    }
}

#[cfg(test)]
mod tests;
