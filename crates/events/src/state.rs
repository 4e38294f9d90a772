//! The words for where a session and a binding stand.

use std::fmt;

/// States of a session. `Terminated` is absorbing.
///
/// They are local knowledge of each side: `Volatile` here says nothing about the other side. What both sides
/// share is counted by (`epoch`, `version`) instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum State {
    /// The handshake is under way.
    Birth,
    /// One path carries the session and is healthy.
    Attached,
    /// The path is under suspicion.
    Volatile,
    /// A move to another path, or back onto any path, is under way.
    Recovering,
    /// No path is usable or no move is permitted for now; the session lives on.
    Degraded,
    /// Over, for good.
    Terminated,
}

impl State {
    /// All states, in the order of the enum.
    pub const ALL: [State; 6] = [
        State::Birth,
        State::Attached,
        State::Volatile,
        State::Recovering,
        State::Degraded,
        State::Terminated,
    ];

    /// The name as it stands in events, status and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Birth => "BIRTH",
            State::Attached => "ATTACHED",
            State::Volatile => "VOLATILE",
            State::Recovering => "RECOVERING",
            State::Degraded => "DEGRADED",
            State::Terminated => "TERMINATED",
        }
    }

    /// The state of that exact name.
    pub fn from_name(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a path stands with regard to the session. At most one path of a session is `Active`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum BindingState {
    /// Known, not proven.
    Candidate,
    /// Proven by an answered probe: warm.
    Validated,
    /// Carries the session.
    Active,
    /// Was left a moment ago; still receives what is under way.
    Draining,
    /// No longer exists.
    Gone,
}

impl BindingState {
    /// All states, in the order of the enum.
    pub const ALL: [BindingState; 5] = [
        BindingState::Candidate,
        BindingState::Validated,
        BindingState::Active,
        BindingState::Draining,
        BindingState::Gone,
    ];

    /// The name as it stands in events, status and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            BindingState::Candidate => "CANDIDATE",
            BindingState::Validated => "VALIDATED",
            BindingState::Active => "ACTIVE",
            BindingState::Draining => "DRAINING",
            BindingState::Gone => "GONE",
        }
    }

    /// The state of that exact name.
    pub fn from_name(name: &str) -> Option<BindingState> {
        BindingState::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl fmt::Display for BindingState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
