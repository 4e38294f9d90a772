//! The event: what the pure rooms tell the world. Plain values without heap, cheap to copy into a ring.

use std::time::Duration;

use crate::{BindingState, PathLabel, Reason, SessionLabel, State, Time};

/// One thing that happened. The sink that writes it adds sequence number, wall clock time and gateway name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, on the clock of the process.
    pub at: Time,
    /// Of which session; `None` for things that belong to none.
    pub session: Option<SessionLabel>,
    /// Transitions of this side's state machine so far: 1 for the first STATE_CHANGE. Local to each side.
    pub step: u64,
    /// Fencing number of the owner. With `version` it counts the facts both sides share.
    pub epoch: u64,
    /// Number of the last committed fact: 1 is the birth, +1 for each binding, takeover and termination.
    pub version: u64,
    /// Why.
    pub reason: Reason,
    /// What.
    pub kind: EventKind,
}

/// What happened, with the figures that belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// This side's state machine moved. Exactly one per `step`.
    StateChange {
        /// State before.
        from: State,
        /// State after.
        to: State,
    },
    /// Commit of version 1: the session exists and runs on `path`.
    SessionBirth {
        /// The first path.
        path: PathLabel,
    },
    /// Commit of a binding: the session moved to another path or another address of it.
    TransportSwitch {
        /// The path that was left.
        old_path: PathLabel,
        /// The path it runs on now.
        new_path: PathLabel,
        /// From the first sign of trouble to the decision, if there was trouble.
        detect: Option<Duration>,
        /// Longest silence the inner traffic saw because of it, if known.
        gap: Option<Duration>,
    },
    /// Commit of a new owner epoch: a gateway took the session over, from another one or from an earlier run of itself.
    Takeover {
        /// The path it runs on now.
        path: PathLabel,
        /// Longest silence the inner traffic saw because of it, if known.
        gap: Option<Duration>,
    },
    /// This gateway no longer holds the session, and has erased its keys. The session itself may go on elsewhere.
    Release {
        /// Whether it was given to another gateway; otherwise the right to it was lost.
        given: bool,
    },
    /// The session is over.
    Termination {
        /// Whether the end is a fact shared by both sides (a commit of `version`) or this side's own conclusion.
        committed: bool,
        /// How long it lived.
        lifetime: Duration,
        /// How many times it moved.
        switches: u32,
    },
    /// New keys.
    Rekey {
        /// Number of the key epoch now in use.
        key_epoch: u32,
    },
    /// A path changed its standing.
    PathState {
        /// Which.
        path: PathLabel,
        /// Its standing from now on.
        binding: BindingState,
        /// Smoothed round trip time, if measured.
        rtt: Option<Duration>,
    },
    /// The policy refused or limited something.
    Policy {
        /// The limit, in the unit of the rule.
        threshold: u64,
        /// What was found, in the same unit.
        observed: u64,
    },
    /// A check against attackers refused something. Repeats are aggregated.
    Security {
        /// How many times since the last such event.
        count: u32,
    },
    /// A network interface changed.
    Link {
        /// The path or interface.
        path: PathLabel,
        /// Usable now?
        up: bool,
    },
    /// A handshake was tried or ended.
    Handshake {
        /// Number of the attempt, from 1.
        attempt: u32,
    },
    /// A signed list of gateways came from the gateway.
    GatewayList {
        /// The serial of the newest one that is kept now; 0 for none.
        serial: u64,
    },
    /// Events are missing because the sink was full. Written by the sink, not by the pure rooms.
    TelemetryGap {
        /// First missing sequence number.
        first_seq: u64,
        /// Last missing sequence number.
        last_seq: u64,
    },
}

impl EventKind {
    /// The names of all kinds, as in [`EventKind::name`].
    pub const NAMES: [&'static str; 14] = [
        "STATE_CHANGE",
        "SESSION_BIRTH",
        "TRANSPORT_SWITCH",
        "TAKEOVER",
        "RELEASE",
        "TERMINATION",
        "REKEY",
        "PATH_STATE",
        "POLICY",
        "SECURITY",
        "LINK",
        "HANDSHAKE",
        "GATEWAY_LIST",
        "TELEMETRY_GAP",
    ];

    /// The value of the key `event` in the log.
    pub const fn name(&self) -> &'static str {
        match self {
            EventKind::StateChange { .. } => "STATE_CHANGE",
            EventKind::SessionBirth { .. } => "SESSION_BIRTH",
            EventKind::TransportSwitch { .. } => "TRANSPORT_SWITCH",
            EventKind::Takeover { .. } => "TAKEOVER",
            EventKind::Release { .. } => "RELEASE",
            EventKind::Termination { .. } => "TERMINATION",
            EventKind::Rekey { .. } => "REKEY",
            EventKind::PathState { .. } => "PATH_STATE",
            EventKind::Policy { .. } => "POLICY",
            EventKind::Security { .. } => "SECURITY",
            EventKind::Link { .. } => "LINK",
            EventKind::Handshake { .. } => "HANDSHAKE",
            EventKind::GatewayList { .. } => "GATEWAY_LIST",
            EventKind::TelemetryGap { .. } => "TELEMETRY_GAP",
        }
    }

    /// Whether this is a commit event: the one event of its (`epoch`, `version`).
    pub const fn is_commit(&self) -> bool {
        matches!(
            self,
            EventKind::SessionBirth { .. }
                | EventKind::TransportSwitch { .. }
                | EventKind::Takeover { .. }
                | EventKind::Termination { committed: true, .. }
        )
    }
}
