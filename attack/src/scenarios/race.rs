//! Somebody who sees the client's datagrams and is faster than they are (RFC 9000 section 9.3.3).

use std::io;
use std::net::SocketAddrV4;
use std::time::Duration;

use jumpvpn_lab::story::{Action, Direction, Uplink};
use jumpvpn_wire::Kind;

use crate::datagram::Datagram;
use crate::field::{Field, MALLORY};
use crate::siege::{Effort, Siege};
use crate::snapshot::Snapshot;
use crate::wiretap::{Fate, Seen};

/// Where the attacker's copies come from.
const COPY: SocketAddrV4 = SocketAddrV4::new(MALLORY, 4000);
/// How much faster the attacker is: the detour of a mobile network.
const LEAD: Duration = Duration::from_millis(30);

/// Whether a datagram is the laptop's, on its way to the gateway.
fn is_from_laptop(seen: &Seen) -> bool {
    seen.direction == Direction::Up && Field::is_laptop(&seen.datagram.source)
}

/// A request to move is held back; a copy of it from elsewhere is there at once.
pub(crate) fn held_request(siege: &mut Siege<'_>) -> io::Result<()> {
    let spans: &[u64] =
        if siege.effort == Effort::Short { &[0, 150, 5000] } else { &[0, 50, 150, 1000, 2500, 5000] };
    siege.is_restless = true;
    for (index, span) in spans.iter().enumerate() {
        let span = Duration::from_millis(*span);
        siege.field.trunk.meddle(move |seen| {
            if !is_from_laptop(seen) || seen.datagram.first() != Kind::Reattach.code() {
                return Fate::Pass;
            }
            Fate::Instead(vec![(Duration::ZERO, seen.datagram.from(COPY)), (span, seen.datagram.clone())])
        });
        let wanted = Action::Jump(if index % 2 == 0 { Uplink::Lte } else { Uplink::Wifi });
        siege.until("the policy lets the session move", |siege| Ok(siege.tunnel.steer(&wanted).is_ok()))?;
        siege.last(span + Duration::from_secs(1))?;
        siege.field.trunk.let_pass();
        let bound = Snapshot::of(&siege.tunnel)?.session_of("laptop").map(|row| row.remote.clone());
        siege.require(bound != Some(COPY.to_string()), || {
            "the attacker's copy moved the session to him".into()
        });
        siege.settle()?;
    }
    Ok(())
}

/// A copy of everything arrives first, and what the gateway answers to it is handed to the client.
pub(crate) fn faster_copy(siege: &mut Siege<'_>) -> io::Result<()> {
    let laptop = siege.captured().last().map(|seen| seen.datagram.source);
    let Some(laptop) = laptop else { return Err(io::Error::other("the laptop says nothing")) };
    siege.is_restless = true;
    siege.share = 0.9;
    siege.field.trunk.meddle(move |seen| {
        let datagram = &seen.datagram;
        if is_from_laptop(seen) && datagram.source == laptop {
            return Fate::Instead(vec![(Duration::ZERO, datagram.from(COPY)), (LEAD, datagram.clone())]);
        }
        if seen.direction == Direction::Down && datagram.destination == COPY {
            return Fate::Instead(vec![(
                Duration::ZERO,
                Datagram { destination: laptop, ..datagram.clone() },
            )]);
        }
        Fate::Pass
    });
    siege.last(Duration::from_secs(if siege.effort == Effort::Short { 4 } else { 30 }))?;
    siege.field.trunk.let_pass();
    // Somebody who is always faster, and hands everything on in both directions, is the better path. The client may
    // have accepted it: what he gained ends with his help.
    siege.accepted.insert(COPY);
    siege.until("the session is back where the client is", |siege| {
        let bound = Snapshot::of(&siege.tunnel)?.session_of("laptop").map(|row| row.remote.clone());
        Ok(bound == Some(laptop.to_string()))
    })?;
    siege.settle()
}
