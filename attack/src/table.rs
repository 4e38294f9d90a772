//! The scenarios, one row each.

use std::io;

use jumpvpn_lab::plan::Family;

use crate::carrier::Class;
use crate::scenarios::{churn, clock, drain, forge, hijack, malformed, plant, race, replay};
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
    /// Versions of IP over which it is played in the short form; in the long one it is played over both. What an attack tries
    /// is the same over both, so one is enough unless addresses are its subject.
    pub(crate) short: &'static [Family],
    /// Does it. What must hold after every attack is checked by whoever calls this.
    pub(crate) attack: fn(&mut Siege<'_>) -> io::Result<()>,
}

/// All of them, in the order in which they are played.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "replay-capture",
        clauses: &["B3.5", "B4.1.1", "B4.1.3", "B4.1.4", "B5.4", "T3.1", "T3.5", "T3.6"],
        how: "every datagram of two sessions three times, in order and shuffled, from its own and other sources",
        classes: Class::ALL,
        short: &[Family::V6],
        attack: replay::capture,
    },
    Scenario {
        name: "replay-after-restart",
        clauses: &["B4.1.3", "B6.3", "T2.3", "T3.6"],
        how: "the same to a gateway that crashed, came back and has the client's next session",
        classes: Class::ALL,
        short: &[Family::V4],
        attack: replay::after_restart,
    },
    Scenario {
        name: "race-held-request",
        clauses: &["B4.2.1", "B4.4.1", "T1.1", "T4.1"],
        how: "requests to move held back for 0 to 5 s while copies from the attacker's address run ahead",
        classes: Class::ALL,
        short: &[Family::V6],
        attack: race::held_request,
    },
    Scenario {
        name: "race-faster-copy",
        clauses: &["B1.6", "B4.2.1", "T4.1"],
        how: "every datagram overtaken by a copy from the attacker's address, his answers relayed to the client",
        classes: Class::ALL,
        short: &[Family::V6],
        attack: race::faster_copy,
    },
    Scenario {
        name: "relay-left-behind",
        clauses: &["B1.6", "B2.2.4", "T4.1"],
        how: "a relay on the client's way that goes on with copies when the client has left",
        classes: Class::ALL,
        short: &[Family::V4],
        attack: race::relay,
    },
    Scenario {
        name: "hijack-request",
        clauses: &["B1.3", "B3.6", "B4.2.1", "B6.1", "T4.1", "T4.3"],
        how: "a request to move that never arrived, sent from the attacker's and from forged addresses, and when it is old",
        classes: Class::ALL,
        short: &[Family::V6],
        attack: hijack::request,
    },
    Scenario {
        name: "hijack-ticket",
        clauses: &["B4.2.1", "B4.2.2", "B5.3", "T4.2"],
        how: "a ticket of one valid client in the request of another",
        classes: Class::ALL,
        short: &[Family::V4],
        attack: hijack::ticket,
    },
    Scenario {
        name: "splice",
        clauses: &["B4.2.2", "B5.3", "T4.2"],
        how: "token and connection ids of one session with sealed parts of another, both ways",
        classes: Class::ALL,
        short: &[Family::V6],
        attack: hijack::splice,
    },
    Scenario {
        name: "guess",
        clauses: &["B4.3.2", "B5.3", "T2.5", "T2.6", "T6.3"],
        how: "route tokens, connection ids and sequence numbers, random and off by one bit",
        classes: Class::ALL,
        short: &[Family::V4],
        attack: hijack::guess,
    },
    Scenario {
        name: "handshake-replay",
        clauses: &["B4.3.4", "T3.6", "T6.1", "T6.5"],
        how: "a captured handshake thousands of times, from its own and other sources",
        classes: Class::ALL,
        short: &[Family::V6],
        attack: drain::handshakes,
    },
    Scenario {
        name: "plant-live",
        clauses: &["B3.10", "T1.5", "T2.7"],
        how: "every answer a gateway can give, forged with the client's connection ids, and old ones again",
        classes: Class::ALL,
        short: &[Family::V4],
        attack: plant::live,
    },
    Scenario {
        name: "plant-birth",
        clauses: &["B3.10", "T3.4"],
        how: "cookies and answers planted on a handshake under way, the genuine ones held up",
        classes: Class::ALL,
        short: &[Family::V6],
        attack: plant::birth,
    },
    Scenario {
        name: "forged-sources",
        clauses: &["B4.3.4", "B6.1", "T2.1"],
        how: "every message that is ever answered, as if from the gateway itself, its networks and third parties",
        classes: Class::ALL,
        short: &Family::BOTH,
        attack: forge::sources,
    },
    Scenario {
        name: "ticket-drain",
        clauses: &["B4.3.1", "B4.3.3", "B4.3.4", "T6.2", "T8.2"],
        how: "thousands of probes with a captured token, and thousands of a valid client for ever new paths",
        classes: Class::ALL,
        short: &[Family::V6],
        attack: drain::tickets,
    },
    Scenario {
        name: "oscillation",
        clauses: &["B4.5.1", "B4.5.3", "B3.3", "T7.1", "T7.6"],
        how: "total loss that changes sides with several periods",
        classes: Class::ALL,
        short: &[Family::V6],
        attack: churn::oscillation,
    },
    Scenario {
        name: "clock-decade",
        clauses: &["T3.1", "T3.4"],
        how: "the client's clock set ten years ahead and back, then the gateway's",
        classes: Class::ALL,
        short: &[Family::V4],
        attack: clock::decade,
    },
    Scenario {
        name: "malformed",
        clauses: &["B5.7", "T2.1"],
        how: "all types, versions, lengths and reserved bits, invented and cut from genuine datagrams",
        classes: Class::ALL,
        short: &[Family::V4],
        attack: malformed::all,
    },
];
