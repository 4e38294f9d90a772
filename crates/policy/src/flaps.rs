//! How often a path died and came back, and how long it is therefore held back: the damping of RFC 2439 in its
//! simplest form, a hold that doubles.

use std::time::Duration;

use jumpvpn_events::Time;

use crate::Policy;

/// The flapping of one path. The caller keeps it beside the path and copies [`Flaps::count`] and
/// [`Flaps::held_until`] into the view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flaps {
    count: u8,
    up_since: Option<Time>,
    held_until: Option<Time>,
}

impl Flaps {
    /// A path that never died.
    pub const fn new() -> Flaps {
        Flaps { count: 0, up_since: None, held_until: None }
    }

    /// The path died. If it had been up for `switching.flap_hold_max` before, its past is forgotten first. A path
    /// that was not up cannot die.
    pub fn record_down(&mut self, policy: &Policy, now: Time) {
        let Some(up_since) = self.up_since else { return };
        let trusted = now.since(up_since) >= policy.switching.flap_hold_max;
        self.count = if trusted { 1 } else { self.count.saturating_add(1) };
        self.up_since = None;
        self.held_until = Some(now + self.hold(policy));
    }

    /// The path works (again). From here on it has to stay up for the hold before it is used without need: a hold
    /// counted from the death would be over before a slow flapper even comes back.
    pub fn record_up(&mut self, policy: &Policy, now: Time) {
        if self.up_since.is_some() {
            return;
        }
        self.up_since = Some(now);
        if self.count > 0 {
            self.held_until = Some(now + self.hold(policy));
        }
    }

    /// How often it died since it was last trusted.
    pub const fn count(&self) -> u8 {
        self.count
    }

    /// Until when it is held back.
    pub const fn held_until(&self) -> Option<Time> {
        self.held_until
    }

    /// `flap_hold`, doubled for each death after the first, at most `flap_hold_max`.
    fn hold(&self, policy: &Policy) -> Duration {
        let doublings = u32::from(self.count.saturating_sub(1)).min(16);
        policy.switching.flap_hold.saturating_mul(1 << doublings).min(policy.switching.flap_hold_max)
    }
}

#[cfg(test)]
mod tests;
