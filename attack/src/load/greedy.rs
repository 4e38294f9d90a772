//! A valid client turned hostile. It holds a key and asks for more than its share, in every way there is. The others
//! must not notice.

mod client;

use std::io;
use std::time::Duration;

use jumpvpn_events::Reason;
use jumpvpn_session::PrivateKey;
use jumpvpn_wire::{Frame, Kind};

use super::{Account, calm};
use crate::arena::{Arena, Gateway, GatewayOptions, INNER, inner_of};
use crate::load::floods::{BIRTH_RATE, PATIENCE};
use crate::swarm::{Swarm, address_of, keys};
use client::Client;

/// The hostile peer's addresses are those that no client of a swarm comes to.
const FIRST_ADDRESS: u32 = 1_000_000;
/// Bystanders.
const OTHERS: u32 = 20;
/// Moves per minute that the policy grants (`switching.max_switches_per_min` of the preset).
const MOVES_MAX: usize = 8;
/// Tickets at once and per second (docs/protocol.md, 10.3), with a few seconds for a busy machine.
const TICKETS_MAX: usize = 20 + 10 * 5;
/// Key exchanges at once, one more every two seconds.
const REKEYS_MAX: usize = 3 + 3;
/// Births of one peer at once, one more every second (`birth.rs`), and some seconds.
const BIRTHS_MAX: usize = 5 + 10;
/// Repetitions of what is asked once too often.
const SPAM: usize = 500;

/// One way to be greedy. It says what it saw that must not be.
type Way = fn(&mut Mischief<'_>, &mut Account) -> io::Result<()>;

const WAYS: &[(&str, Way)] = &[
    ("flapping", flap),
    ("ticket spam", collect_tickets),
    ("inner sources", forge_inner),
    ("rekey spam", rekey),
    ("garbage inside DATA", garbage),
    ("session hoarding", hoard),
    ("close spam", close),
];

struct Mischief<'a> {
    arena: &'a Arena,
    gateway: &'a Gateway,
    key: &'a PrivateKey,
    /// Sockets used so far.
    socket_count: u32,
}

/// Plays the trial.
pub(super) fn run(arena: &Arena, account: &mut Account) -> io::Result<()> {
    let keys = keys(OTHERS + 1);
    let peers: Vec<_> = keys.iter().map(|key| key.public()).collect();
    let mut gateway = Gateway::start(arena, &peers, GatewayOptions::default())?;
    let (others, mallory) = keys.split_at(OTHERS as usize);
    let mut swarm = Swarm::new(arena)?;
    swarm.raise(others, gateway.public, &calm(), BIRTH_RATE, PATIENCE)?;
    swarm.set_window(1);
    swarm.run(Duration::from_millis(300))?;
    let name = format!("\"c{OTHERS}\"");
    let bystanders = |gateway: &Gateway| -> io::Result<Vec<String>> {
        Ok(gateway.sessions_digest()?.into_iter().filter(|line| !line.contains(&name)).collect())
    };
    let before = bystanders(&gateway)?;
    let mut mischief = Mischief { arena, gateway: &gateway, key: &mallory[0], socket_count: 0 };
    for (name, way) in WAYS {
        let replies = swarm.replies;
        way(&mut mischief, account).map_err(|error| io::Error::other(format!("{name}: {error}")))?;
        let until = std::time::Instant::now() + PATIENCE;
        let served = swarm.run_until(until, |swarm| swarm.replies > replies + u64::from(OTHERS))?;
        account.require(served, || format!("{name}: the others are not served any more"));
    }
    let after = bystanders(&gateway)?;
    account.require(before == after, || format!("the others' sessions changed: {before:?} {after:?}"));
    account.require(swarm.ended().is_empty(), || format!("sessions of others ended: {:?}", swarm.ended()));
    gateway.check()
}

impl Mischief<'_> {
    /// A newborn session of the hostile peer, from an address that no other client has.
    fn born(&mut self) -> io::Result<Client> {
        // A birth may have to wait for those before it: one a second of each peer.
        for _ in 0..BIRTHS_MAX {
            match self.try_born()? {
                Some(client) if client.is_confirmed()? => return Ok(client),
                _ => {}
            }
        }
        Err(io::Error::other("the gateway does not answer a peer's handshake"))
    }

    fn try_born(&mut self) -> io::Result<Option<Client>> {
        self.socket_count += 1;
        let address = address_of(self.arena.family, FIRST_ADDRESS + self.socket_count, 0);
        let socket = Client::socket(self.arena, address)?;
        Client::born(socket, self.key, &self.gateway.public)
    }
}

fn flap(mischief: &mut Mischief<'_>, account: &mut Account) -> io::Result<()> {
    let mut client = mischief.born()?;
    let (mut granted, mut refused) = (0, Vec::new());
    for _ in 0..MOVES_MAX * 2 {
        // A reason that says the old path is dead: the cooldown is waived, the limit is not.
        match client.jump(Reason::LinkDown.number())? {
            Some(0) => granted += 1,
            Some(reason) => refused.push(reason),
            None => {}
        }
    }
    account.figure(format!(
        "flapping: {granted} of {} moves granted, {} refused",
        MOVES_MAX * 2,
        refused.len()
    ));
    account.require((1..=MOVES_MAX).contains(&granted), || format!("flapping: {granted} moves were granted"));
    let right = [Reason::SwitchRateLimited, Reason::RateLimited].map(Reason::number);
    let wrong = refused.iter().find(|reason| !right.contains(reason));
    account.require(!refused.is_empty() && wrong.is_none(), || format!("flapping: refused with {refused:?}"));
    Ok(())
}

fn collect_tickets(mischief: &mut Mischief<'_>, account: &mut Account) -> io::Result<()> {
    let mut client = mischief.born()?;
    let before = mischief.gateway.resident_bytes()?;
    for _ in 0..SPAM {
        client.probe()?;
    }
    let tickets = client.count(&[Kind::PathTicket])?;
    let growth = mischief.gateway.resident_bytes()?.saturating_sub(before);
    account.figure(format!("ticket spam: {tickets} of {SPAM} answered, memory +{} KiB", growth / 1024));
    account.require((1..=TICKETS_MAX).contains(&tickets), || format!("ticket spam: {tickets} tickets"));
    Ok(())
}

fn forge_inner(mischief: &mut Mischief<'_>, account: &mut Account) -> io::Result<()> {
    let mut client = mischief.born()?;
    let before = mischief.gateway.drops("INNER_SOURCE")?;
    let victim = inner_of(0);
    for number in 0..SPAM {
        let mut packet = [0; 60];
        if number % 2 == 0 {
            packet[0] = 0x45;
            packet[3] = 60;
            packet[12..16].copy_from_slice(&victim.octets());
            packet[16..20].copy_from_slice(&INNER.addr().octets());
        } else {
            packet[0] = 0x60;
            packet[5] = 20;
            packet[8..24].copy_from_slice(&victim.to_ipv6_mapped().octets());
            packet[24..40].copy_from_slice(&INNER.addr().to_ipv6_mapped().octets());
        }
        client.packet(&packet)?;
    }
    client.count(&[])?;
    let refused = mischief.gateway.drops("INNER_SOURCE")? - before;
    account.figure(format!("inner sources: {refused} of {SPAM} refused"));
    account.require(refused == SPAM as u64, || format!("inner sources: {refused} of {SPAM} were refused"));
    Ok(())
}

fn rekey(mischief: &mut Mischief<'_>, account: &mut Account) -> io::Result<()> {
    let mut client = mischief.born()?;
    client.count(&[])?;
    for _ in 0..SPAM {
        client.rekey()?;
    }
    let answers = client.count(&[Kind::Data])?;
    account.figure(format!("rekey spam: {answers} of {SPAM} answered"));
    account.require((1..=REKEYS_MAX).contains(&answers), || format!("rekey spam: {answers} answers"));
    Ok(())
}

fn garbage(mischief: &mut Mischief<'_>, account: &mut Account) -> io::Result<()> {
    let mut client = mischief.born()?;
    let reasons = ["MALFORMED", "NOT_IP", "INNER_SOURCE"];
    let count =
        |gateway: &Gateway| -> io::Result<u64> { reasons.iter().map(|reason| gateway.drops(reason)).sum() };
    let before = count(mischief.gateway)?;
    let mut seed = 1_u32;
    for number in 0..SPAM {
        // Every length up to the largest that fits one datagram here, every first byte.
        let mut plaintext = vec![0; 1 + number * 2 % 1400];
        for byte in &mut plaintext {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (seed >> 24) as u8;
        }
        client.packet(&plaintext)?;
    }
    client.packet(&[0; 16_384])?;
    client.packet(&[0x45; 16_384])?;
    client.frames(&[Frame::Want { tokens: u8::MAX, config: true }; 32])?;
    let answers = client.count(&[Kind::Data])?;
    let refused = count(mischief.gateway)? - before;
    account.figure(format!("garbage inside DATA: {refused} of {} refused, {answers} answers", SPAM + 2));
    account.require(refused > 0 && answers <= SPAM / 10, || {
        format!("garbage: {refused} refused, {answers} answers")
    });
    Ok(())
}

fn hoard(mischief: &mut Mischief<'_>, account: &mut Account) -> io::Result<()> {
    let before = mischief.gateway.event_count("SESSION_BIRTH")?;
    let mut held = Vec::new();
    for _ in 0..BIRTHS_MAX {
        held.extend(mischief.try_born()?);
    }
    for client in &mut held {
        client.count(&[])?;
    }
    let births = mischief.gateway.event_count("SESSION_BIRTH")? - before;
    let sessions = mischief.gateway.session_count()?;
    account
        .figure(format!("session hoarding: {} handshakes, {births} births, {sessions} sessions", held.len()));
    account.require(sessions == u64::from(OTHERS) + 1, || format!("hoarding: {sessions} sessions"));
    account.require(births < BIRTHS_MAX, || format!("hoarding: {births} births"));
    Ok(())
}

fn close(mischief: &mut Mischief<'_>, account: &mut Account) -> io::Result<()> {
    let mut client = mischief.born()?;
    // Until its birth is confirmed there is nothing to end; probing tells.
    client.probe()?;
    client.count(&[Kind::PathTicket])?;
    for _ in 0..SPAM {
        client.close(Reason::OwnerClosed.number())?;
    }
    let acks = client.count(&[Kind::CloseAck])?;
    let sessions = mischief.gateway.session_count()?;
    account.figure(format!("close spam: {acks} of {SPAM} answered, from {}", client.address()?.ip()));
    account.require(sessions == u64::from(OTHERS) && acks <= 3, || {
        format!("{sessions} sessions, {acks} answers")
    });
    Ok(())
}
