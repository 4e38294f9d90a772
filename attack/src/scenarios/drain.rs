//! Questions without end: what each costs must not add up.

use std::io;
use std::time::Duration;

use jumpvpn_lab::story::Uplink;
use jumpvpn_wire::{Cid, Kind, PathId};
use rand_core::Rng;

use crate::siege::{Effort, Siege};

/// Thousands of probes with a token that was seen on the wire, and thousands of a valid client, each for another path
/// (the class of CVE-2023-49295).
pub(crate) fn tickets(siege: &mut Siege<'_>) -> io::Result<()> {
    let mut rogue = siege.rogue(0)?;
    let calm = siege.jump(Uplink::Lte)?;
    let rounds: u32 = if siege.effort == Effort::Short { 6_000 } else { 200_000 };
    let captured = siege.next_captured(Kind::PathProbe)?;
    for round in 0..rounds {
        if round == rounds / 3 {
            siege.memory_is_warm();
        }
        let mut bad = captured.clone();
        let cseq = siege.rng.next_u64() >> 8;
        bad[20..28].copy_from_slice(&cseq.to_le_bytes());
        let source = siege.bystander();
        siege.forge(source, &bad)?;
        let cid = Cid(siege.rng.next_u64());
        let good = rogue.probe(PathId(round + 2), cid)?;
        siege.forge(rogue.address, &good)?;
    }
    let took = siege.jump(Uplink::Wifi)?;
    siege.figure(format!("jump {} ms before, {} ms during", calm.as_millis(), took.as_millis()));
    siege.last(Duration::from_millis(100))
}

/// One captured handshake again and again, from its own address and from others; then what a stranger who knows the
/// gateway's public key can make of it.
pub(crate) fn handshakes(siege: &mut Siege<'_>) -> io::Result<()> {
    let inits = siege.captured_of(Kind::HsInit);
    let init = inits.last().cloned().ok_or_else(|| io::Error::other("no handshake was captured"))?;
    let laptop = siege.laptop()?;
    let rounds = if siege.effort == Effort::Short { 2_000 } else { 50_000 };
    for round in 0..rounds {
        if round == rounds / 3 {
            siege.memory_is_warm();
        }
        let source = if round % 2 == 0 { laptop } else { siege.bystander() };
        siege.forge(source, &init)?;
    }
    siege.last(Duration::from_millis(200))?;
    // It was answered when it was new.
    siege.is_silence_due = true;
    Ok(())
}
