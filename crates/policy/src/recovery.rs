//! The bounds of trying again: exponential pauses, and a window after which trying counts as failed.

use std::time::Duration;

use jumpvpn_events::Time;

use crate::Policy;

/// Pause before the first retry: above the round trip of most paths, so that a retry is not sent while the answer
/// is on its way.
pub const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Longest pause: doubling beyond it would leave fewer than three tries in a recovery window of 8 s.
pub const LONGEST_PAUSE: Duration = Duration::from_millis(1_600);

/// The pause before retry number `attempt` (0 is the first retry): 100 ms, 200 ms, ... 1.6 s, and never longer than
/// the recovery window.
pub fn backoff(policy: &Policy, attempt: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempt.min(8));
    doubled.min(LONGEST_PAUSE).min(policy.switching.recovery_window)
}

/// Whether recovery that began at `since` has used up its window.
pub fn exhausted(policy: &Policy, since: Time, now: Time) -> bool {
    now.since(since) >= policy.switching.recovery_window
}

#[cfg(test)]
mod tests;
