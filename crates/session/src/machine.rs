//! The states of a session and the only ways between them. TERMINATED absorbs.

use core::fmt;

use jumpvpn_events::{Reason, State};

#[cfg(test)]
mod tests;

/// What may happen to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trigger {
    /// The first confirmed packet under the keys of the handshake.
    BirthComplete,
    /// The active path is in doubt.
    Suspect,
    /// The active path is good again.
    Recovered,
    /// A jump (planned or forced) has begun.
    JumpStarted,
    /// The new binding is committed.
    JumpCommitted,
    /// The jump was refused; the old binding is still the one.
    JumpRefused,
    /// No path could be bound in the time allowed.
    RecoveryFailed,
    /// The session goes on under its bounds.
    Degraded,
    /// The end.
    Terminate,
}

use State::{Attached, Birth, Recovering, Terminated, Volatile};
use Trigger::{
    BirthComplete, JumpCommitted, JumpRefused, JumpStarted, Recovered, RecoveryFailed, Suspect, Terminate,
};

/// Every allowed (state, trigger, next state). What is not here is forbidden.
pub const TRANSITIONS: &[(State, Trigger, State)] = &[
    (Birth, BirthComplete, Attached),
    (Birth, Terminate, Terminated),
    (Attached, Suspect, Volatile),
    (Attached, JumpStarted, Recovering),
    (Attached, Trigger::Degraded, State::Degraded),
    (Attached, Terminate, Terminated),
    (Volatile, Recovered, Attached),
    (Volatile, JumpStarted, Recovering),
    (Volatile, Trigger::Degraded, State::Degraded),
    (Volatile, Terminate, Terminated),
    (Recovering, JumpCommitted, Attached),
    (Recovering, Recovered, Attached),
    (Recovering, JumpRefused, Volatile),
    (Recovering, RecoveryFailed, State::Degraded),
    (Recovering, Trigger::Degraded, State::Degraded),
    (Recovering, Terminate, Terminated),
    (State::Degraded, Recovered, Attached),
    (State::Degraded, JumpStarted, Recovering),
    (State::Degraded, Terminate, Terminated),
];

/// A transition that took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// State before.
    pub from: State,
    /// State after.
    pub to: State,
    /// Number of this transition in the session's life, from 1.
    pub step: u64,
}

/// A trigger that the present state does not allow; nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forbidden {
    /// The present state.
    pub state: State,
    /// What was tried.
    pub trigger: Trigger,
}

impl Forbidden {
    /// The reason to report.
    pub const fn reason(self) -> Reason {
        Reason::StateForbidden
    }
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not allowed in {}", self.trigger, self.state.as_str())
    }
}

impl core::error::Error for Forbidden {}

/// One session's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    state: State,
    step: u64,
}

impl Machine {
    /// In BIRTH, before the first step.
    pub const fn new() -> Self {
        Self { state: Birth, step: 0 }
    }

    /// The present state.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Transitions so far.
    pub const fn step(&self) -> u64 {
        self.step
    }

    /// Takes the transition that [`TRANSITIONS`] names.
    ///
    /// # Errors
    /// [`Forbidden`] when there is none; nothing has changed.
    pub fn apply(&mut self, trigger: Trigger) -> Result<Transition, Forbidden> {
        let from = self.state;
        let found = TRANSITIONS.iter().find(|&&(state, on, _)| state == from && on == trigger);
        let &(_, _, to) = found.ok_or(Forbidden { state: from, trigger })?;
        self.state = to;
        self.step += 1;
        Ok(Transition { from, to, step: self.step })
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}
