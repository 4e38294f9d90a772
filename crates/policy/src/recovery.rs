//! The bounds of trying again: short pauses, then exponential ones, and a window after which trying counts as failed.

use std::time::Duration;

use jumpvpn_events::Time;

use crate::Policy;

/// Pause between tries at first. A gateway that was started again is found by the first try after it listens, and a
/// person notices an interruption of more than some 300 ms: two round trips of takeover and one of confirmation at 20 ms
/// and this pause are 210 ms. A try costs one packet of 124 bytes.
pub const EARLY_PAUSE: Duration = Duration::from_millis(150);

/// Pauses of that length: 3 s, longer than a gateway needs to start.
pub const EARLY_TRIES: u32 = 20;

/// Longest pause: doubling beyond it would leave fewer than three tries in the rest of a recovery window of 8 s.
pub const LONGEST_PAUSE: Duration = Duration::from_millis(1_600);

/// The pause before retry number `attempt` (0 is the first retry): 150 ms for three seconds, then 300 ms, 600 ms, ...
/// 1.6 s, and never longer than the recovery window.
pub fn backoff(policy: &Policy, attempt: u32) -> Duration {
    let doublings = attempt.saturating_add(1).saturating_sub(EARLY_TRIES).min(8);
    let doubled = EARLY_PAUSE.saturating_mul(1 << doublings);
    doubled.min(LONGEST_PAUSE).min(policy.switching.recovery_window)
}

/// Whether recovery that began at `since` has used up its window.
pub fn exhausted(policy: &Policy, since: Time, now: Time) -> bool {
    now.since(since) >= policy.switching.recovery_window
}

#[cfg(test)]
mod tests;
