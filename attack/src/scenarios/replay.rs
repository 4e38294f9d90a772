//! Everything that was ever said, said again.

use std::io;
use std::time::Duration;

use jumpvpn_lab::story::Uplink;
use jumpvpn_wire::{ClosePayload, Kind};

use crate::siege::Siege;
use crate::snapshot::Snapshot;
use crate::wiretap::Seen;

/// Copies of each datagram in each round.
const COPIES: usize = 3;

/// Two whole sessions in the capture: birth, rekey, data, probes and moves of the victim's, birth and end of another.
pub(crate) fn capture(siege: &mut Siege<'_>) -> io::Result<()> {
    let ended = ended_session(siege)?;
    siege.jump(Uplink::Lte)?;
    siege.last(Duration::from_millis(300))?;
    let mut capture = siege.captured();
    for kind in [Kind::HsInit, Kind::Data, Kind::PathProbe, Kind::Reattach, Kind::Close] {
        let has = capture.iter().any(|seen| seen.datagram.first() == kind.code());
        siege.require(has, || format!("there is no {kind:?} to replay"));
    }
    replay(siege, &capture)?;
    siege.memory_is_warm();
    siege.shuffle(&mut capture);
    replay(siege, &capture)?;
    elsewhere(siege, &capture)?;
    siege.reasons.insert("REPLAY_DETECTED");
    let row = Snapshot::of(&siege.tunnel)?;
    siege.require(row.session_of("mallory").is_none(), || format!("the ended session {ended} came back"));
    let took = siege.jump(Uplink::Wifi)?;
    siege.figure(format!("jump after it {} ms", took.as_millis()));
    Ok(())
}

/// The gateway crashes and comes back; the client is born again, and hears of its first life.
pub(crate) fn after_restart(siege: &mut Siege<'_>) -> io::Result<()> {
    siege.last(Duration::from_millis(500))?;
    let mut capture = siege.captured();
    let first = siege.session.clone();
    let field = siege.field;
    siege.tunnel.crash_gateway(&field.program, field.world.site(siege.family))?;
    siege.until("the client is born again", |siege| {
        let now = Snapshot::of(&siege.tunnel).ok();
        Ok(now.is_some_and(|now| now.agent.session != first && now.session_of("laptop").is_some()))
    })?;
    siege.settle()?;
    siege.session = siege.baseline.agent.session.clone();
    // The victim's datagrams were on their way to nobody for as long as the gateway was not there.
    siege.share = 0.0;
    replay(siege, &capture)?;
    siege.memory_is_warm();
    siege.shuffle(&mut capture);
    replay(siege, &capture)?;
    elsewhere(siege, &capture)
}

/// A session that is born and closed; its id.
fn ended_session(siege: &mut Siege<'_>) -> io::Result<String> {
    let before = siege.baseline.clone();
    let mut rogue = siege.rogue(0)?;
    let row = siege.baseline.session_of("mallory").map(|row| (row.session.clone(), row.version));
    let (id, version) = row.ok_or_else(|| io::Error::other("the rogue has no session"))?;
    let close = rogue.seal(Kind::Close, &ClosePayload { reason: 0, version }.encode())?;
    rogue.send(&close)?;
    siege.until("the rogue's session ends", |siege| {
        Ok(Snapshot::of(&siege.tunnel)?.sessions == before.sessions)
    })?;
    siege.settle()?;
    Ok(id)
}

/// Says everything three times, from where it came.
fn replay(siege: &mut Siege<'_>, capture: &[Seen]) -> io::Result<()> {
    for seen in capture {
        for _ in 0..COPIES {
            siege.forge(seen.datagram.source, &seen.datagram.payload)?;
        }
    }
    Ok(())
}

/// Says everything from addresses of others, and from the attacker's own machine.
fn elsewhere(siege: &mut Siege<'_>, capture: &[Seen]) -> io::Result<()> {
    let own = siege.own_socket()?;
    for seen in capture {
        let source = siege.bystander();
        siege.forge(source, &seen.datagram.payload)?;
        own.send_to(&seen.datagram.payload, siege.gateway())?;
    }
    Ok(())
}
