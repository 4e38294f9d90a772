//! One key, one fault.

use std::time::Duration;

use crate::story::{Action, Direction, Directions, Uplink};

/// What a key means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Meaning {
    /// Leave.
    Quit,
    /// Faults go to this uplink from now on.
    Select(Uplink),
    /// Something happens to the selected uplink.
    Fault(Fault),
}

/// A fault by key; pressing it again takes it back where that makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The interface goes down, or comes up again.
    Link,
    /// The carrier goes, or comes back.
    Carrier,
    /// Everything vanishes.
    BlackHole,
    /// Everything upwards vanishes.
    BlackHoleUp,
    /// Everything downwards vanishes.
    BlackHoleDown,
    /// UDP vanishes.
    Udp,
    /// A twentieth of the packets is lost.
    Loss,
    /// A tenth of a second of delay.
    Delay,
    /// The router forgets its mappings.
    Rebind,
    /// The operator asks for a jump to it.
    Jump,
    /// The operator pins the session to it.
    Pin,
    /// The operator lets the policy choose again.
    Unpin,
    /// All is well again.
    Clear,
}

/// Key, fault and what the help line says.
pub const KEYS: &[(u8, Fault, &str)] = &[
    (b'd', Fault::Link, "link down/up"),
    (b'c', Fault::Carrier, "carrier down/up"),
    (b'b', Fault::BlackHole, "black hole"),
    (b'u', Fault::BlackHoleUp, "only up"),
    (b'w', Fault::BlackHoleDown, "only down"),
    (b'x', Fault::Udp, "block UDP"),
    (b'l', Fault::Loss, "5% loss"),
    (b's', Fault::Delay, "100 ms delay"),
    (b'r', Fault::Rebind, "NAT rebind"),
    (b'j', Fault::Jump, "jump here"),
    (b'p', Fault::Pin, "pin here"),
    (b'n', Fault::Unpin, "unpin"),
    (b'o', Fault::Clear, "all clear"),
];

/// What a key means, if anything. Ctrl-D leaves as well, as it leaves a shell.
pub fn meaning(key: u8) -> Option<Meaning> {
    match key.to_ascii_lowercase() {
        b'q' | 4 => Some(Meaning::Quit),
        b'1' => Some(Meaning::Select(Uplink::Wifi)),
        b'2' => Some(Meaning::Select(Uplink::Lte)),
        key => KEYS.iter().find(|(known, ..)| *known == key).map(|(_, fault, _)| Meaning::Fault(*fault)),
    }
}

/// The action of a fault on an uplink; `on` is false when it is to be taken back.
pub fn action(fault: Fault, uplink: Uplink, on: bool) -> Action {
    match fault {
        Fault::Link => Action::Link(uplink, !on),
        Fault::Carrier => Action::Carrier(uplink, !on),
        Fault::Udp => Action::UdpBlocked(uplink, on),
        Fault::Rebind => Action::Rebind(uplink),
        Fault::Jump => Action::Jump(uplink),
        Fault::Pin => Action::Pin(uplink),
        Fault::Unpin => Action::Unpin,
        _ if !on => Action::Clear(uplink),
        Fault::BlackHole => Action::BlackHole(uplink, Directions::BOTH),
        Fault::BlackHoleUp => Action::BlackHole(uplink, Directions::only(Direction::Up)),
        Fault::BlackHoleDown => Action::BlackHole(uplink, Directions::only(Direction::Down)),
        Fault::Loss => Action::Loss(uplink, 50_000),
        Fault::Delay => Action::Delay(uplink, Duration::from_millis(100)),
        Fault::Clear => Action::Clear(uplink),
    }
}
