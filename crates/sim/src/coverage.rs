//! What only the worlds of one gateway count, and what has to have happened in a batch of them: a simulator in which nothing is
//! ever refused proves nothing.
use std::collections::BTreeMap;
use std::fmt;

use crate::report::{Figures, Report, unseen};

/// What is counted of worlds with one gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorldFigures {
    /// Verdicts of the gateway that the reference model predicted.
    pub verdicts: u64,
}

/// What was simulated of worlds with one gateway.
pub type WorldReport = Report<WorldFigures>;

impl Figures for WorldFigures {
    const NAME: &'static str = "worlds";
    /// It all did within about 60 worlds of the first thousands.
    const COVERED_AFTER: u64 = 2_000;

    fn add(&mut self, other: &WorldFigures) {
        self.verdicts += other.verdicts;
    }

    fn missing(&self, seen: &BTreeMap<String, u64>) -> Vec<String> {
        unseen(EXPECTED.iter().copied(), seen)
    }

    fn checks(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

impl fmt::Display for WorldFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} verdicts predicted", self.verdicts)
    }
}

/// Refusals of the gateway (docs/security/rejects.md), transitions, and faults.
///
/// Not here, because no world gets there: a full table of pending handshakes or sessions, the end of the handshake
/// budget (cookies and prefixes stop everybody before), a CID or a handle that comes twice, an inner packet that is no
/// IP, AEAD limits. Nor are refusals that need a rare meeting, such as a rebinding whose old path still lives. The
/// engine's own tests have these.
const EXPECTED: &[&str] = &[
    "gateway MALFORMED",
    "gateway RESERVED_BITS",
    "gateway UNKNOWN_CID",
    "gateway FENCE_EXPIRED",
    "gateway REPLAY_DETECTED",
    "gateway BAD_SEAL",
    "gateway INNER_SOURCE",
    "gateway ADDRESS_MISMATCH",
    "gateway NOT_ATTACHED",
    "gateway UNKNOWN_SESSION",
    "gateway RATE_LIMITED",
    "gateway NOT_OWNER",
    "gateway STALE_EPOCH",
    "gateway BAD_PROOF",
    "gateway STALE_TICKET",
    "gateway STALE_STATE_VERSION",
    "gateway INVALID_TRANSPORT_CANDIDATE",
    "gateway REBIND_WAIT",
    "gateway SWITCH_COOLDOWN",
    "gateway BAD_MAC1",
    "gateway COOKIE_REQUIRED",
    "gateway BAD_COOKIE",
    "gateway PREFIX_RATE_LIMITED",
    "gateway HANDSHAKE_REPLAY",
    "gateway BAD_HANDSHAKE",
    "gateway UNKNOWN_PEER",
    "BIRTH to ATTACHED",
    "ATTACHED to VOLATILE",
    "ATTACHED to RECOVERING",
    "ATTACHED to TERMINATED",
    "VOLATILE to ATTACHED",
    "VOLATILE to RECOVERING",
    "VOLATILE to TERMINATED",
    "RECOVERING to ATTACHED",
    "fault link down",
    "fault black",
    "fault blackout",
    "fault poor",
    "fault rebind",
    "fault flap",
    "fault gateway restart",
    "fault client restart",
    "fault suspend",
    "fault client stall",
    "fault gateway stall",
    "fault fence loss",
    "fault store trouble",
    "fault order",
    "fault close at the gateway",
    "fault attack",
    "fault interception",
    "fault full replay",
    "fault clock jump",
];
