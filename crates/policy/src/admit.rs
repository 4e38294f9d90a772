//! The gateway's side of the limits: a client that was changed to ignore its own policy gains nothing.

use std::time::Duration;

use jumpvpn_events::{Reason, Time};

use crate::{Policy, SwitchHistory};

/// Why a client asks to move, as far as the limits care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdmitCause {
    /// It wants another path while the present one still works.
    Move,
    /// It wants another path because the present one is dead.
    MoveDeadPath,
    /// The same path appears under a new address, and the old address did not answer.
    Rebind,
}

/// Whether the gateway grants a move now.
///
/// The cooldown holds for [`AdmitCause::Move`] only: in the other cases the session has no way to receive, and
/// waiting would help nobody. The limit per minute holds for all.
///
/// # Errors
/// The reason and how long to wait before it can be granted.
pub fn admit(
    policy: &Policy,
    now: Time,
    cause: AdmitCause,
    history: &SwitchHistory,
) -> Result<(), (Reason, Duration)> {
    let limits = &policy.switching;
    let budget = history.wait_for_budget(now, limits.max_switches_per_min);
    if !budget.is_zero() {
        return Err((Reason::SwitchRateLimited, budget));
    }
    let cooldown = history.wait_for_cooldown(now, limits.switch_cooldown);
    if cause == AdmitCause::Move && !cooldown.is_zero() {
        return Err((Reason::SwitchCooldown, cooldown));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
