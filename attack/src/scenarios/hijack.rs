//! What was meant for one, used by another: requests, tickets, tokens and connection ids.

use std::io;
use std::time::Duration;

use jumpvpn_lab::story::{Direction, Uplink};
use jumpvpn_wire::{CONTROL_HEADER_LEN, Cid, DATA_HEADER_LEN, Frame, Kind, PathId};
use rand_core::Rng;

use crate::datagram::address;
use crate::field::Field;
use crate::siege::Siege;
use crate::wiretap::Fate;

/// A ticket is good for this long; the gateway's policy says 5 s.
const TICKET_AGE: Duration = Duration::from_millis(5500);

/// A genuine request to move never arrives; the attacker has it, and sends it from wherever he likes.
pub(crate) fn request(siege: &mut Siege<'_>) -> io::Result<()> {
    siege.is_restless = true;
    // What the client sends ahead under the binding it asked for is lost with the request.
    siege.share = 0.5;
    siege.field.trunk.meddle(|seen| {
        let takes = seen.direction == Direction::Up
            && seen.datagram.first() == Kind::Reattach.code()
            && Field::is_laptop(&seen.datagram.source);
        if takes { Fate::Instead(Vec::new()) } else { Fate::Pass }
    });
    siege.ask_to_jump(Uplink::Lte)?;
    siege.until("the client asks to move", |siege| Ok(!siege.captured_of(Kind::Reattach).is_empty()))?;
    let request = siege.captured().into_iter().find(|seen| seen.datagram.first() == Kind::Reattach.code());
    let request = request.ok_or_else(|| io::Error::other("no request"))?.datagram;
    let own = siege.own_socket()?;
    let next_port = address(request.source.ip(), request.source.port() ^ 1);
    for round in 0..60 {
        own.send_to(&request.payload, siege.gateway())?;
        let source = if round % 2 == 0 { siege.bystander() } else { next_port };
        siege.forge(source, &request.payload)?;
        siege.last(Duration::from_millis(10))?;
    }
    let bound = siege.bound()?;
    let stayed = bound == siege.baseline.session_of("laptop").map(|row| row.remote.clone());
    siege.require(stayed, || format!("the attacker's copy of a request moved the session to {bound:?}"));
    // When the ticket is too old, the request is good for nobody, not even from where it belongs.
    siege.last(TICKET_AGE)?;
    let before = siege.bound()?;
    siege.forge(request.source, &request.payload)?;
    siege.last(Duration::from_millis(100))?;
    let after = siege.bound()?;
    siege.require(before == after, || "a request moved the session when its ticket was too old".into());
    siege.field.trunk.let_pass();
    siege.settle()?;
    siege.reasons.insert("ADDRESS_MISMATCH");
    siege.jump(Uplink::Lte).map(|_| ())
}

/// A ticket of one client in a request of another, from its own address and from the robbed one's.
pub(crate) fn ticket(siege: &mut Siege<'_>) -> io::Result<()> {
    let mut robbed = siege.rogue(0)?;
    let mut thief = siege.rogue(1)?;
    for _ in 0..4 {
        let (mut stolen, _) = robbed.ticket(PathId(1))?;
        let (own, cid) = thief.ticket(PathId(1))?;
        let at_victim = thief.reattach(&stolen, cid, |_| {})?;
        siege.forge(robbed.address, &at_victim)?;
        stolen.observed = own.observed;
        let at_home = thief.reattach(&stolen, cid, |_| {})?;
        thief.send(&at_home)?;
        siege.last(Duration::from_millis(300))?;
    }
    siege.reasons.insert("STALE_TICKET");
    Ok(())
}

/// Token, epoch and sequence number of one session with the sealed part of another; connection ids exchanged.
pub(crate) fn splice(siege: &mut Siege<'_>) -> io::Result<()> {
    let mut rogue = siege.rogue(0)?;
    let (probe, data) = (siege.next_captured(Kind::PathProbe)?, siege.captured_of(Kind::Data));
    let laptop = siege.laptop()?;
    for round in 0..200_u64 {
        let client_cid = Cid(siege.rng.next_u64());
        let own_probe = rogue.probe(PathId(1), client_cid)?;
        let own_data = rogue.frame(&Frame::Fin)?;
        let victims = &data[data.len() - 1 - siege.below(data.len().min(50))].clone();
        let mut spliced = join(&probe, &own_probe, CONTROL_HEADER_LEN);
        // A sequence number that is not used up, so that the seal is looked at.
        spliced[20..28].copy_from_slice(&(1 << 40 | round).to_le_bytes());
        let messages = [
            spliced,
            join(&own_probe, &probe, CONTROL_HEADER_LEN),
            join(victims, &own_data, DATA_HEADER_LEN),
            join(&own_data, victims, DATA_HEADER_LEN),
        ];
        for message in messages {
            siege.forge(laptop, &message)?;
            rogue.send(&message)?;
        }
        if round % 20 == 0 {
            siege.last(Duration::from_millis(50))?;
        }
    }
    siege.reasons.insert("BAD_PROOF");
    Ok(())
}

/// The beginning of one, the rest of the other.
fn join(head: &[u8], rest: &[u8], len: usize) -> Vec<u8> {
    [&head[..len], &rest[len..]].concat()
}

/// Route tokens, connection ids and sequence numbers out of thin air, and ones that are almost right.
pub(crate) fn guess(siege: &mut Siege<'_>) -> io::Result<()> {
    let probe = siege.next_captured(Kind::PathProbe)?;
    let data = siege.captured_of(Kind::Data).pop().ok_or_else(|| io::Error::other("no data"))?;
    let rounds = if siege.effort == crate::siege::Effort::Short { 6_000 } else { 100_000 };
    for round in 0..rounds {
        if round == rounds / 3 {
            siege.memory_is_warm();
        }
        let kind = [Kind::PathProbe, Kind::Reattach, Kind::Close][round % 3];
        let mut control = siege.bytes(kind.min_len());
        (control[0], control[1]) = (kind.code(), probe[1]);
        if round % 2 == 0 {
            // Everything but one bit of a genuine token.
            control[2..28].copy_from_slice(&probe[2..28]);
            control[4 + siege.below(16)] ^= 1 << siege.below(8);
        }
        let mut packet = siege.bytes(data.len());
        packet[..4].copy_from_slice(&data[..4]);
        if round % 2 == 0 {
            packet[4..16].copy_from_slice(&data[4..16]);
            packet[4 + siege.below(8)] ^= 1 << siege.below(8);
        }
        let source = siege.bystander();
        siege.forge(source, &control)?;
        siege.forge(source, &packet)?;
    }
    siege.is_silence_due = true;
    Ok(())
}
