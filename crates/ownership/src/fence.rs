//! The right to act, as a plain value that can be checked without asking anybody.

use jumpvpn_events::Time;

/// Until when this incarnation of the gateway may act, and under which number.
///
/// A holder of rights cannot be trusted to notice that it lost them (it may have been asleep), so every
/// action compares the clock with `valid_until` first, and the number travels with the action so that others can
/// refuse an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Fencing number of the incarnation; each new incarnation has a higher one.
    pub epoch: u64,
    /// The first instant at which it may no longer act.
    pub valid_until: Time,
}

impl Fence {
    /// Whether it may act at that time.
    pub fn allows(self, now: Time) -> bool {
        now < self.valid_until
    }
}
