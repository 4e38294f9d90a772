//! The scenarios, one row each.

use std::io;

use crate::carrier::Class;
use crate::scenarios::{malformed, race, replay};
use crate::siege::Siege;

/// One attack.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// What it is called on the command line and in the table of clauses.
    pub(crate) name: &'static str,
    /// Clauses of the founding documents it is about (`docs/security/clauses.md`).
    pub(crate) clauses: &'static [&'static str],
    /// What the attacker does.
    pub(crate) how: &'static str,
    /// Transports over which it can be done.
    pub(crate) classes: &'static [Class],
    /// Does it. What must hold after every attack is checked by whoever calls this.
    pub(crate) attack: fn(&mut Siege<'_>) -> io::Result<()>,
}

/// All of them, in the order in which they are played.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "replay-capture",
        clauses: &["B3.5", "B4.1.3", "B5.4", "T3.1"],
        how: "every datagram of a session three times, in order and shuffled, from its own and other sources",
        classes: Class::ALL,
        attack: replay::capture,
    },
    Scenario {
        name: "race-held-request",
        clauses: &["B4.2.1", "B4.4.1", "T4.1", "T1.1"],
        how: "requests to move held back for 0 to 5 s while copies from the attacker's address run ahead",
        classes: Class::ALL,
        attack: race::held_request,
    },
    Scenario {
        name: "race-faster-copy",
        clauses: &["B1.6", "B4.2.1", "T4.1"],
        how: "every datagram overtaken by a copy from the attacker's address, his answers relayed to the client",
        classes: Class::ALL,
        attack: race::faster_copy,
    },
    Scenario {
        name: "malformed",
        clauses: &["B5.7", "T2.1"],
        how: "all types, versions, lengths and reserved bits, invented and cut from genuine datagrams",
        classes: Class::ALL,
        attack: malformed::all,
    },
];
