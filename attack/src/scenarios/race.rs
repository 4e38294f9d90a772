//! Somebody who sees the client's datagrams and is faster than they are (RFC 9000 section 9.3.3).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use jumpvpn_lab::plan;
use jumpvpn_lab::story::{Direction, Uplink};
use jumpvpn_wire::Kind;

use crate::datagram::Datagram;
use crate::field::{Field, mallory};
use crate::siege::{Effort, Siege};
use crate::wiretap::{Fate, Seen};

/// Port the attacker's copies come from.
const COPY_PORT: u16 = 4000;
/// How much faster he is when the client hears both answers to one probe in time: less than one round trip.
const SMALL_LEAD: Duration = Duration::from_millis(4);
/// How much faster he is when it does not: the detour of a mobile network.
const LARGE_LEAD: Duration = Duration::from_millis(60);

/// Where the attacker's copies come from.
fn copy(siege: &Siege<'_>) -> SocketAddr {
    SocketAddr::new(mallory(siege.family), COPY_PORT)
}

/// How long a relay works for a client that does not follow: some of the probes of its path, once in 2 s, and of their repetitions.
const RELAYED: Duration = Duration::from_secs(3);

/// Whether a datagram is the laptop's, on its way to the gateway.
fn is_from_laptop(seen: &Seen) -> bool {
    seen.direction == Direction::Up && Field::is_laptop(&seen.datagram.source)
}

/// A request to move is held back; a copy of it from elsewhere is there at once.
pub(crate) fn held_request(siege: &mut Siege<'_>) -> io::Result<()> {
    let copy = copy(siege);
    let short = siege.effort == Effort::Short;
    let spans: &[u64] = if short { &[0, 150, 5000] } else { &[0, 50, 150, 1000, 2500, 5000] };
    siege.is_restless = true;
    // What the client sends ahead under the binding it asked for waits, or is lost, with the request.
    siege.share = 0.5;
    for (index, span) in spans.iter().enumerate() {
        let span = Duration::from_millis(*span);
        siege.field.trunk.meddle(move |seen| {
            if !is_from_laptop(seen) || seen.datagram.first() != Kind::Reattach.code() {
                return Fate::Pass;
            }
            Fate::Instead(vec![(Duration::ZERO, seen.datagram.from(copy)), (span, seen.datagram.clone())])
        });
        siege.ask_to_jump(if index % 2 == 0 { Uplink::Lte } else { Uplink::Wifi })?;
        siege.last(span + Duration::from_secs(1))?;
        siege.field.trunk.let_pass();
        let bound = siege.bound()?;
        siege.require(bound != Some(copy.to_string()), || {
            "the attacker's copy moved the session to him".into()
        });
        siege.settle()?;
    }
    Ok(())
}

/// A copy of everything arrives first, and what the gateway answers to it is handed to the client.
pub(crate) fn faster_copy(siege: &mut Siege<'_>) -> io::Result<()> {
    let copy = copy(siege);
    let span = Duration::from_secs(if siege.effort == Effort::Short { 3 } else { 30 });
    siege.is_restless = true;
    copy_everything(siege, SMALL_LEAD);
    siege.last(span)?;
    siege.field.trunk.let_pass();
    // A client that is told two addresses again and again may refuse the path and take its other one.
    siege.settle()?;
    let moved = siege.field.trunk.look(|log| log.iter().any(|seen| is_data_to(copy, seen)));
    siege.require(!moved, || "the client heard two addresses and took the attacker's".into());
    copy_everything(siege, LARGE_LEAD);
    siege.last(span)?;
    siege.field.trunk.let_pass();
    // Somebody who is faster by more than a client can notice, and hands everything on in both directions, is the better
    // path for a client behind a NAT, who accepts it in a sealed ticket. What he gained ends with his help.
    if siege.is_translated() {
        siege.accepted.insert(copy);
    }
    siege.share = 0.9;
    siege.reasons.insert("PATH_DUPLICATION");
    siege.until("the session is back where the client is", |siege| {
        Ok(siege.bound()?.is_some_and(|bound| bound != copy.to_string()))
    })?;
    siege.settle()
}

/// A relay that the laptop's way leads through, and that goes on with copies when the laptop has left (Roaming Mischief,
/// WireGuard's list, November 2017).
pub(crate) fn relay(siege: &mut Siege<'_>) -> io::Result<()> {
    let copy = copy(siege);
    let laptop = siege.laptop()?;
    siege.is_restless = true;
    siege.share = 0.9;
    siege.field.trunk.meddle(move |seen| {
        let datagram = &seen.datagram;
        match seen.direction {
            Direction::Up if datagram.source == laptop => {
                Fate::Instead(vec![(Duration::ZERO, datagram.from(copy))])
            }
            Direction::Down if datagram.destination == copy => {
                Fate::Instead(vec![(Duration::ZERO, Datagram { destination: laptop, ..datagram.clone() })])
            }
            _ => Fate::Pass,
        }
    });
    let at_relay = Some(copy.to_string());
    if siege.is_translated() {
        siege.until("the session follows its client behind the relay", |siege| {
            Ok(siege.bound()? == at_relay)
        })?;
        siege.accepted.insert(copy);
    } else {
        // What the client sends arrives, and what it is sent goes to the address that it has itself.
        siege.last(RELAYED)?;
        let bound = siege.bound()?;
        siege.require(bound != at_relay, || "the client took another address for its own".into());
    }
    siege.settle()?;
    let capture = siege.field.trunk.look(|log| {
        let relayed = |seen: &&Seen| seen.direction == Direction::Up && seen.datagram.source == copy;
        log.iter().filter(relayed).cloned().collect::<Vec<_>>()
    });
    siege.require(!capture.is_empty(), || "nothing went through the relay".into());
    // A client that is told addresses which are not its own may have left by itself.
    let lte = plan::public_of(siege.family)[Uplink::Lte.index()];
    if siege.bound()?.and_then(|bound| bound.parse().ok()).is_none_or(|bound: SocketAddr| bound.ip() != lte) {
        siege.jump(Uplink::Lte)?;
    }
    let left = siege.field.trunk.look(<[Seen]>::len);
    for seen in &capture {
        siege.forge(copy, &seen.datagram.payload)?;
    }
    siege.last(Duration::from_millis(500))?;
    let sent = siege.field.trunk.look(|log| log[left..].iter().filter(|seen| is_data_to(copy, seen)).count());
    siege.require(sent == 0, || format!("{sent} packets went to the relay that the client had left"));
    siege.settle()
}

/// Overtakes what the laptop says on the path it uses now, and hands answers on to it.
fn copy_everything(siege: &Siege<'_>, lead: Duration) {
    let copy = copy(siege);
    let mut laptop = None;
    siege.field.trunk.meddle(move |seen| {
        let datagram = &seen.datagram;
        if is_from_laptop(seen) {
            let is_data = datagram.first() == Kind::Data.code();
            laptop = laptop.or(is_data.then_some(datagram.source));
            if laptop == Some(datagram.source) {
                return Fate::Instead(vec![(Duration::ZERO, datagram.from(copy)), (lead, datagram.clone())]);
            }
        }
        match laptop {
            Some(destination) if seen.direction == Direction::Down && datagram.destination == copy => {
                Fate::Instead(vec![(Duration::ZERO, Datagram { destination, ..datagram.clone() })])
            }
            _ => Fate::Pass,
        }
    });
}

fn is_data_to(copy: SocketAddr, seen: &Seen) -> bool {
    let datagram = &seen.datagram;
    seen.direction == Direction::Down && datagram.destination == copy && datagram.first() == Kind::Data.code()
}
