//! Everything that was ever said, said again.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use jumpvpn_lab::story::Uplink;
use jumpvpn_wire::Kind;

use crate::field::MALLORY;
use crate::siege::Siege;
use crate::wiretap::Seen;

/// Copies of each datagram in each round.
const COPIES: usize = 3;
/// Datagrams between two pauses, so that a burst stays below what the gateway's socket buffers: what the kernel throws
/// away attacks nobody.
const BURST: usize = 50;
/// That pause.
const PAUSE: Duration = Duration::from_millis(5);

/// A whole session in the capture: its birth, its rekey, data, probes and moves.
pub(crate) fn capture(siege: &mut Siege<'_>) -> io::Result<()> {
    siege.jump(Uplink::Lte)?;
    siege.last(Duration::from_millis(300))?;
    let mut capture = siege.captured();
    for kind in [Kind::HsInit, Kind::Data, Kind::PathProbe, Kind::Reattach] {
        let has = capture.iter().any(|seen| seen.datagram.first() == kind.code());
        siege.require(has, || format!("there is no {kind:?} to replay"));
    }
    replay(siege, &capture)?;
    siege.memory_is_warm();
    siege.shuffle(&mut capture);
    replay(siege, &capture)?;
    elsewhere(siege, &capture)?;
    siege.reasons.insert("REPLAY_DETECTED");
    let took = siege.jump(Uplink::Wifi)?;
    siege.figure(format!("jump after it {} ms", took.as_millis()));
    Ok(())
}

/// Says everything three times, from where it came.
fn replay(siege: &mut Siege<'_>, capture: &[Seen]) -> io::Result<()> {
    for (index, seen) in capture.iter().enumerate() {
        for _ in 0..COPIES {
            siege.carrier().forge(seen.datagram.source, &seen.datagram.payload);
        }
        if index % BURST == BURST - 1 {
            siege.last(PAUSE)?;
        }
    }
    siege.last(PAUSE)
}

/// Says everything from addresses of others, and from the attacker's own machine.
fn elsewhere(siege: &mut Siege<'_>, capture: &[Seen]) -> io::Result<()> {
    let own = siege.field.mallory.run(|| UdpSocket::bind((MALLORY, 0)))??;
    for (index, seen) in capture.iter().enumerate() {
        let source = siege.bystander();
        siege.carrier().forge(source, &seen.datagram.payload);
        own.send_to(&seen.datagram.payload, siege.class.gateway())?;
        if index % BURST == BURST - 1 {
            siege.last(PAUSE)?;
        }
    }
    siege.last(PAUSE)
}
